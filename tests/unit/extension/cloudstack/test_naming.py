"""``bus_amqp.extension.cloudstack.naming``: one name for a resource, whatever class a version named."""

import pytest

from bus_amqp.extension.cloudstack.naming import is_entity, resource_type_of


@pytest.mark.parametrize(
    ("name", "simple"),
    [
        ("VirtualMachine", "VirtualMachine"),
        ("com.cloud.vm.VirtualMachine", "VirtualMachine"),
        ("com-cloud-vm-VirtualMachine", "VirtualMachine"),
        ("com.cloud.vm.VMInstanceVO", "VirtualMachine"),
        ("com-cloud-vm-VMInstanceVO$$EnhancerByCGLIB$$4f8a1b2c", "VirtualMachine"),
        ("com.cloud.uservm.UserVm", "VirtualMachine"),
        ("UserVm", "VirtualMachine"),
        ("com.cloud.storage.VolumeVO$$EnhancerBySpringCGLIB$$1a2b", "Volume"),
        ("com.cloud.network.IPAddressVO", "IpAddress"),
        ("org.apache.cloudstack.acl.RolePermission", "RolePermission"),
        ("org.apache.cloudstack.api.response.HostResponse", "HostResponse"),
        ("NETSCALER.SERVICEPACKAGE.CREATE", "NETSCALER.SERVICEPACKAGE.CREATE"),
        ("VNC", "VNC"),
        ("VO", "VO"),
        ("my-Thing.of-mine", "my-Thing.of-mine"),
        ("unknown", ""),
        ("None", ""),
        ("", ""),
        ("$$", "$$"),
    ],
)
def test_a_resource_has_one_name(name: str, simple: str):
    """A topic names a resource type once, and gets the events of every version."""
    assert resource_type_of(name) == simple


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Account", True),
        ("account", False),
        ("com.cloud.vm.VirtualMachine", True),
        ("old-state", False),
        ("a.b", False),
    ],
)
def test_keys_that_name_the_class_of_a_resource_are_known(name: str, expected: bool):
    """`Account` is the target and `account` the caller: one capital is all that tells them apart."""
    assert is_entity(name) is expected
