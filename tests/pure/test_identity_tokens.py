"""Token secrets, CSRF tokens, roles and passwords: the laws of who one is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import Forbidden, Invalid
from identity import policy
from identity.model import ADMIN, MEMBER, READER, Caller, ProjectId, UserId, expand_roles
from identity.passwords import generate_password, hash_password, is_password
from identity.tokens import (
    TOKEN_PREFIX,
    csrf_token,
    hash_token,
    is_csrf_token,
    is_plausible_token,
    new_token_secret,
)


def a_caller(*, roles: frozenset[str], project_id: str = "p1", is_system: bool = False) -> Caller:
    return Caller(UserId("u"), "u", ProjectId(project_id), "p", roles, is_system, b"", policy.NO_EXPIRY)


def test_a_token_is_marked_for_scanners_and_holds_256_random_bits() -> None:
    secrets = {new_token_secret() for _ in range(200)}
    assert len(secrets) == 200
    assert all(secret.startswith(TOKEN_PREFIX) and len(secret) == len(TOKEN_PREFIX) + 43 for secret in secrets)
    assert all(is_plausible_token(secret) for secret in secrets)


@given(st.text())
def test_any_text_can_be_hashed_and_noise_is_not_a_token(text: str) -> None:
    assert len(hash_token(text)) == 32
    assert not is_plausible_token(text) or text.startswith(TOKEN_PREFIX)


@given(st.text(), st.text())
def test_a_csrf_token_belongs_to_one_session(mine: str, other: str) -> None:
    assert is_csrf_token(csrf_token(mine), mine)
    assert is_csrf_token(csrf_token(other), mine) == (mine == other)
    assert not is_csrf_token(mine, mine)


def test_a_role_implies_the_lesser_ones() -> None:
    assert expand_roles([ADMIN]) == {ADMIN, MEMBER, READER}
    assert expand_roles([MEMBER]) == {MEMBER, READER}
    assert expand_roles([READER]) == {READER}
    assert expand_roles([]) == frozenset()


@given(st.sampled_from([ADMIN, MEMBER, READER]), st.sampled_from(["p1", "p2"]))
def test_who_may_write_may_read_and_only_an_admin_reaches_another_project(role: str, project_id: str) -> None:
    caller = a_caller(roles=expand_roles([role]))
    if policy.may_write(caller, project_id):
        assert policy.may_read(caller, project_id)
    if policy.may_read(caller, project_id) and project_id != caller.project_id:
        assert policy.is_admin(caller)


def test_a_reader_may_not_write() -> None:
    reader = a_caller(roles=frozenset({READER}))
    assert policy.may_read(reader, "p1")
    with pytest.raises(Forbidden):
        policy.require_writer(reader)
    with pytest.raises(Forbidden):
        policy.require_admin(reader)


def test_a_password_is_recognized_and_its_hash_is_argon2id() -> None:
    password = generate_password()
    stored = hash_password(password)
    assert stored.startswith("$argon2id$")
    assert password not in stored
    assert is_password(password, stored)
    assert not is_password(password + "x", stored)
    assert not is_password(password, None)


@pytest.mark.parametrize("password", ["", "short", "x" * 1025])
def test_a_password_has_a_least_and_a_greatest_length(password: str) -> None:
    with pytest.raises(Invalid):
        hash_password(password)
