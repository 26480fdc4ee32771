"""The names of resources: from Java's to the simple ones that later versions use.  Pure.

Through the years a virtual machine was ``com.cloud.vm.VirtualMachine``, in a key ``com-cloud-vm-VirtualMachine``, at
times the database class ``com.cloud.vm.VMInstanceVO`` or a proxy of it (``...VO$$EnhancerByCGLIB$$4f8a1b2c``), and is
``VirtualMachine`` since 4.18.
"""

from __future__ import annotations

import re

# The package is in small letters, the class begins with a capital; in a key the dots are dashes.  Names with dots that
# are no classes (NETSCALER.SERVICEPACKAGE.CREATE, com.example) stay as they are.
_CLASS = re.compile(r"(?:[a-z_][a-z0-9_]*[.-])+(?P<simple>[A-Z]\w*)")
_SIMPLE = re.compile(r"[A-Z]\w*")
_PROXY = re.compile(r"\$\$|\$(?=Proxy)|_\$\$_")  # CGLIB's and Spring's; Javassist's
# Classes that are no more than another view of a resource which has a name already.
_SAME_AS = {
    "VMInstance": "VirtualMachine",
    "UserVm": "VirtualMachine",
    "IPAddress": "IpAddress",
    "VMTemplate": "VirtualMachineTemplate",
    "VpcVirtualRouter": "VirtualRouter",
    "DomainRouter": "VirtualRouter",
}
# What a job says that is about nothing.
_NOTHING = frozenset({"", "unknown", "None", "null"})


def without_proxy(name: str) -> str:
    """Return the class of which this may be a generated proxy."""
    return _PROXY.split(name, maxsplit=1)[0]


def is_java_class(name: str) -> bool:
    """Return whether this is the full name of a Java class, in a body or in a key."""
    return _CLASS.fullmatch(without_proxy(name)) is not None


def is_entity(name: str) -> bool:
    """Return whether a body's key may name the class of a resource: simple, or with its package."""
    return _SIMPLE.fullmatch(name) is not None or is_java_class(name)


def resource_type_of(name: str) -> str:
    """Return the simple name of a resource's class; a name that is none is returned as it is, absent ones empty."""
    if name in _NOTHING:
        return ""
    plain = without_proxy(name)
    found = _CLASS.fullmatch(plain)
    simple = found["simple"] if found is not None else plain
    if simple.endswith("VO") and len(simple) > len("VO"):
        simple = simple.removesuffix("VO")
    return _SAME_AS.get(simple, simple) or name
