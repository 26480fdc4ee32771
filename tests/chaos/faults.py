"""All scenarios: importing this file registers them, in the order in which they are played."""

from tests.chaos import (
    faults_of_brokers,
    faults_of_clusters,
    faults_of_objects,
    faults_of_paths,
    faults_of_processes,
)

__all__ = [
    "faults_of_brokers",
    "faults_of_clusters",
    "faults_of_objects",
    "faults_of_paths",
    "faults_of_processes",
]
