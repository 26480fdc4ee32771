"""The design document's scene: a management server, and parties that listen to it.

``billing``, ``monitoring`` and ``workflow`` are subscriber modules as any user's, built on the front
door alone: copy them.
"""
