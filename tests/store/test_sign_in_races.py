"""What happens between a password's verification and its token: whoever changed it meanwhile has shut the old one out for good."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from time import sleep

import pytest

from foundation.database import Pool, transaction
from foundation.ids import new_hex_id
from identity import directory, service
from identity.directory import NewUser
from identity.model import DEFAULT_DOMAIN_ID, IssuedToken, Token, Unauthenticated, User
from identity.service import NoScope, Reference
from identity.store import users
from identity.store.users import Login
from tests.conftest import PATIENCE_S

NOW = datetime.now(UTC)
PASSWORD = "correct horse battery"


@pytest.fixture
def admin(pool: Pool) -> Token:
    with transaction(pool) as tx:
        service.bootstrap(tx, NOW)
        login = service.find_login(tx, Reference(name="admin", domain_id=DEFAULT_DOMAIN_ID))
        assert login is not None
        until = NOW + timedelta(hours=1)
        return service.issue_token(
            tx, login, scope=service.DefaultScope(), methods=["password"], now=NOW, expires_at=until
        ).token


@pytest.fixture
def user(pool: Pool, admin: Token) -> Iterator[User]:
    with transaction(pool) as tx:
        made = directory.create_user(tx, admin, new=NewUser(f"user-{new_hex_id()}", PASSWORD), now=NOW)
    yield made
    with transaction(pool) as tx:
        tx.execute("DELETE FROM user_account WHERE id = %s", (made.id,))


def verified(pool: Pool, user: User) -> Login:
    with transaction(pool) as tx:
        return service.authenticate(tx, Reference(id=user.id), password=PASSWORD)


def issued(pool: Pool, login: Login) -> IssuedToken:
    with transaction(pool) as tx:
        return service.issue_token(
            tx, login, scope=NoScope(), methods=["password"], now=NOW, expires_at=NOW + timedelta(hours=1)
        )


def test_a_password_changed_after_it_was_verified_gives_no_token(pool: Pool, admin: Token, user: User) -> None:
    login = verified(pool, user)
    with transaction(pool) as tx:
        directory.update_user(tx, admin, user_id=user.id, changes={"password": "another long one"})
    with pytest.raises(Unauthenticated):
        issued(pool, login)


def test_a_change_that_is_under_way_is_waited_for(pool: Pool, admin: Token, user: User) -> None:
    login = verified(pool, user)
    with ThreadPoolExecutor(1) as threads:
        with transaction(pool) as tx:
            directory.update_user(tx, admin, user_id=user.id, changes={"password": "another long one"})
            signing_in = threads.submit(issued, pool, login)
            sleep(0.3)
            assert not signing_in.done()
        with pytest.raises(Unauthenticated):
            signing_in.result(timeout=PATIENCE_S)


def test_a_user_deleted_or_disabled_after_the_password_was_verified_gets_no_token(
    pool: Pool, admin: Token, user: User
) -> None:
    login = verified(pool, user)
    with transaction(pool) as tx:
        directory.update_user(tx, admin, user_id=user.id, changes={"enabled": False})
    with pytest.raises(Unauthenticated):
        issued(pool, login)
    with transaction(pool) as tx:
        directory.delete_user(tx, admin, user_id=user.id)
    with pytest.raises(Unauthenticated):
        issued(pool, login)


def test_a_token_that_was_revoked_meanwhile_gives_no_other(pool: Pool, admin: Token, user: User) -> None:
    first = issued(pool, verified(pool, user)).token
    with transaction(pool) as tx:
        directory.update_user(tx, admin, user_id=user.id, changes={"password": "another long one"})
    with pytest.raises(Unauthenticated), transaction(pool) as tx:
        service.rescope_token(tx, first, scope=NoScope(), now=NOW)


def test_a_password_changed_by_its_owner_never_undoes_the_one_that_an_admin_gave_meanwhile(
    pool: Pool, admin: Token, user: User
) -> None:
    own = issued(pool, verified(pool, user)).token
    with transaction(pool) as tx, pytest.raises(Unauthenticated):
        before = users.find_login(tx, user_id=user.id)
        assert before is not None
        with transaction(pool) as other:
            directory.update_user(other, admin, user_id=user.id, changes={"password": "given by the admin"})
        assert not users.replace_password_hash(tx, before, "of its owner")
        directory.change_own_password(tx, own, user_id=user.id, original=PASSWORD, password="another long one")
    with transaction(pool) as tx:
        service.authenticate(tx, Reference(id=user.id), password="given by the admin")
