"""The design document's scene: a management server, and the parties of ``docs/examples`` that listen to it."""
