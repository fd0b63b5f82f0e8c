"""What provisioning reads from other programs: module dependencies, package lists, pip's settings, processor flags."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision import debian_packages, debian_tree, kernel_modules, leftovers, libvirt_daemons, python_environment

names = st.integers(0, 20).map(str)


@st.composite
def acyclic_needs(draw: st.DrawFn) -> dict[str, list[str]]:
    """Modules that need only modules with a smaller number."""
    count = draw(st.integers(0, 12))
    return {str(i): draw(st.lists(st.integers(0, i - 1).map(str), unique=True)) if i else [] for i in range(count)}


@given(acyclic_needs(), st.lists(names))
def test_every_module_comes_once_and_after_what_it_needs(needs: Mapping[str, Sequence[str]], wanted: list[str]):
    order = kernel_modules.ordered(wanted, needs=needs)
    assert len(order) == len(set(order))
    assert {name for name in wanted if name in needs} <= set(order)
    for position, name in enumerate(order):
        assert set(needs[name]) <= set(order[:position])


def test_a_module_says_itself_what_it_needs():
    assert kernel_modules.needed_by(b"\0license=GPL\0depends=virtio-ring,virtio\0name=x\0") == ["virtio_ring", "virtio"]
    assert kernel_modules.needed_by(b"\0depends=\0name=x\0") == []
    assert kernel_modules.needed_by(b"no module at all") == []


def test_a_package_that_was_removed_is_missing():
    listing = "gcc\tii \ncpio\trc \nqemu-utils\tun \n"
    assert debian_packages.missing_in_listing(listing, ["gcc", "cpio", "qemu-utils", "nftables"]) == [
        "cpio",
        "qemu-utils",
        "nftables",
    ]


def test_apts_own_reason_is_found():
    output = "Reading package lists...\nW: something\nE: Unable to locate package x\n"
    assert debian_tree.apt_error(output) == "E: Unable to locate package x"
    assert debian_tree.apt_error("") == "apt-get failed"


def test_uv_gets_the_index_that_pip_uses_unless_it_has_its_own():
    config = "global.index-url='https://mirror.example/simple'\n:env:.cert='/etc/ssl/ca.pem'\nglobal.timeout='9'\n"
    assert python_environment.index_settings(config, {}) == {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "SSL_CERT_FILE": "/etc/ssl/ca.pem",
    }
    own = {"UV_DEFAULT_INDEX": "https://other.example", "SSL_CERT_FILE": "/x"}
    assert python_environment.index_settings(config, own) == {}


@pytest.mark.parametrize(
    ("flags", "has_kvm", "kind"),
    [
        ("fpu vmx sse", True, "kvm"),
        ("fpu svm", True, "kvm"),
        ("fpu vmx", False, "qemu"),
        ("fpu sse vmxnet", True, "qemu"),
        ("", True, "qemu"),
    ],
)
def test_kvm_needs_a_processor_that_virtualises_and_a_device_that_opens(flags: str, has_kvm: bool, kind: str):
    assert libvirt_daemons.virt_type(flags, has_kvm=has_kvm) == kind


def test_only_what_carries_our_id_is_ever_removed():
    names = "nepho-ab12-1\nnepho-ab1-2\nnepho-ab12\ndefault\n\nmy-nepho-ab12-3\n"
    assert leftovers.owned(names, "ab12") == ["nepho-ab12-1"]
    listing = (
        "table inet nephoscope_ab12\ntable bridge nephoscope_ab12\ntable inet nephoscope_ab123\ntable inet filter\n"
    )
    assert leftovers.owned_tables(listing, "ab12") == [("inet", "nephoscope_ab12"), ("bridge", "nephoscope_ab12")]
