"""Nothing private stands on the disk, and what is forgotten leaves no ciphertext either."""

from __future__ import annotations

import dataclasses
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from client.vault.errors import VaultBusy
from client.vault.records import ClipArrays, GalleryEntry, StoredHead
from client.vault.vault import VAULT_FILE, Vault, unlock
from common.expressions import EXPRESSIONS
from tests.client.vault.support import (
    CHEAP,
    IDENTITY,
    OTHER_SECRET,
    SECRET,
    a_clip,
    a_user,
    files_of,
    filled,
    new_vault,
    number_forms,
    some_arrays,
    text_forms,
    vault_bytes,
)

NAME = "Ada-Zyzzyva-Örk"
CLIP = "clip-Quidnunc-77.mp4"
SETTING = "setting-Xylograph"
ERROR = "error-text-Ytterbium"
RELEASE = "release-Zeugma"
DIGEST = "5ca1ab1e" * 8
FEATURE, EMBEDDING, WEIGHT, LOGIT = 1234.5678, 2345.6789, 4321.8765, 3456.7891
PIECE = 16


def planted(vault: Vault) -> None:
    user = a_user(NAME)
    vault.save_user(user)
    vault.add_gallery(
        GalleryEntry(
            user=user.id, spec=IDENTITY, embeddings=np.full((3, 512), EMBEDDING, np.float32)
        )
    )
    clip = dataclasses.replace(a_clip(user), name=CLIP, digest=DIGEST)
    arrays = ClipArrays(
        features=np.full((90, 300), FEATURE, np.float32), own=np.full(8, LOGIT, np.float32)
    )
    vault.add_clip(clip, arrays)
    vault.label(clip.id, 7)
    head = StoredHead(arrays={"weight": np.full((8, 40), WEIGHT)}, about={"user": NAME})
    vault.save_personal(user.id, head)
    vault.save_universal(head)
    vault.set_setting(SETTING, [SETTING], user=user.id)
    vault.log_error(ERROR)
    vault.ledger.append({"federation": RELEASE})


def markers() -> dict[str, bytes]:
    texts = (NAME, CLIP, SETTING, ERROR, RELEASE, DIGEST, IDENTITY, SECRET.text, "surprised")
    numbers = (FEATURE, EMBEDDING, WEIGHT, LOGIT)
    expressions = [name for name in EXPRESSIONS if len(name) > 4]
    forms = {f"{text} {n}": form for text in texts for n, form in enumerate(text_forms(text))}
    forms |= {f"{x} {n}": form for x in numbers for n, form in enumerate(number_forms(x))}
    return forms | {name: name.encode() for name in expressions}


def found_in(folder: Path) -> list[str]:
    whole = [content for _, content in files_of(folder)]
    return [name for name, form in markers().items() if any(form in each for each in whole)]


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "note").write_bytes(np.float32(FEATURE).tobytes() + NAME.encode())
    assert len(found_in(tmp_path)) == 2


def test_nothing_private_is_on_the_disk(tmp_path: Path) -> None:
    with new_vault(tmp_path) as vault:
        planted(vault)
        names = {path.name for path in tmp_path.iterdir()}
        assert f"{VAULT_FILE}-wal" in names
        assert found_in(tmp_path) == []  # the log is full of fresh pages here
        with vault.transaction():
            vault.log_error(ERROR)
            for number in range(40):  # more pages than stay in memory
                arrays = ClipArrays(features=np.full((90, 300), FEATURE, np.float32))
                vault.add_clip(a_clip(vault.users()[0], number), arrays)
            assert found_in(tmp_path) == []
        vault.backup(tmp_path / "backup")
        vault.rekey(OTHER_SECRET, cost=CHEAP)
        assert found_in(tmp_path) == []
    assert found_in(tmp_path) == []


def test_equal_values_do_not_look_equal(tmp_path: Path) -> None:
    with new_vault(tmp_path) as vault:
        ada, ben = a_user("Ada"), a_user("Ben")
        for user in (ada, ben):
            vault.save_user(user)
        for number in range(4):
            vault.add_clip(a_clip((ada, ben)[number % 2], number, label=1), some_arrays())
    with closing(sqlite3.connect(tmp_path / VAULT_FILE)) as connection:
        for column in ("arrays", "answer", "label"):
            found = connection.execute(f"SELECT {column} FROM clips").fetchall()
            assert len({value[:12] for (value,) in found}) == 4
            assert len({value for (value,) in found}) == 4


def test_lengths_tell_neither_name_nor_label(tmp_path: Path) -> None:
    with new_vault(tmp_path) as vault:
        ada, ben = a_user("A"), a_user("A much longer name than that")
        for number, user in enumerate((ada, ben)):
            vault.save_user(user)
            vault.add_clip(a_clip(user, number, label=(None, 3)[number]), some_arrays())
    with closing(sqlite3.connect(tmp_path / VAULT_FILE)) as connection:
        for query in ("SELECT length(about) FROM users", "SELECT length(label) FROM clips"):
            assert len(set(connection.execute(query))) == 1


def ciphertexts(folder: Path, user: str) -> list[bytes]:
    """Pieces of every value of a user, as they stand on the disk."""
    queries = (
        ("SELECT about, name_hash FROM users WHERE id = ?", 2),
        ("SELECT entry FROM gallery WHERE user = ?", 1),
        ("SELECT about, answer, label, arrays, digest_hash FROM clips WHERE user = ?", 5),
        ("SELECT about, arrays FROM heads WHERE owner = ?", 2),
        ("SELECT value, name_hash FROM settings WHERE user = ?", 2),
    )
    with closing(sqlite3.connect(folder / VAULT_FILE)) as connection:
        values = [
            value
            for query, _ in queries
            for row in connection.execute(query, (user,))
            for value in row
        ]
    assert len(values) > 5
    return [
        value[start : start + PIECE]
        for value in values
        for start in range(0, len(value) - PIECE + 1, 1009)
    ]


def held(folder: Path, pieces: list[bytes]) -> int:
    whole = vault_bytes(folder)
    return sum(piece in whole for piece in pieces)


def big_vault(folder: Path) -> tuple[str, str]:
    with new_vault(folder) as vault:
        ada, ben = filled(vault, "Ada", "Ben", clips=0)
        for number in range(20):  # interleaved, of all sizes
            user = (ada, ben)[number % 2]
            arrays = some_arrays(number, frames=1 + 37 * (number % 9), dimension=30)
            vault.add_clip(a_clip(user, number, label=1), arrays)
            vault.label(vault.clips(user=user.id)[0].id, 2)
    return ada.id, ben.id


def test_forgetting_leaves_no_ciphertext(tmp_path: Path) -> None:
    ada, ben = big_vault(tmp_path)
    hers, his = ciphertexts(tmp_path, ada), ciphertexts(tmp_path, ben)
    assert held(tmp_path, hers) > 0.9 * len(hers)  # all but those that two pages share
    with Vault(tmp_path, unlock(tmp_path, SECRET)) as vault:
        vault.label(vault.clips(user=ada)[0].id, 3)
        vault.log_error("of Ada's clip")
        assert vault.remains([ada.encode(), ben.encode()]) == 2
        erased = vault.forget(ada)
        assert erased == {"clips": 10, "gallery": 1, "settings": 1, "heads": 1, "users": 1}
        assert held(tmp_path, [*hers, ada.encode()]) == 0  # while the vault is still open
        assert held(tmp_path, his) > 0.9 * len(his)
        assert vault.remains([ada.encode(), ben.encode()]) == 1
        assert (len(vault.users()), len(vault.clips()), vault.errors()) == (1, 10, ())
        assert vault.damaged() == ()
    assert held(tmp_path, hers) == 0


def test_forgetting_nobody_changes_nothing(vault: Vault) -> None:
    filled(vault)
    vault.save_universal(StoredHead(arrays={"a": np.ones(3)}))
    vault.log_error("kept")
    for nobody in ("", "nobody", "%"):
        assert set(vault.forget(nobody).values()) <= {0}
    assert (len(vault.users()), len(vault.clips()), len(vault.errors())) == (2, 6, 1)
    assert vault.universal() is not None


def test_the_setting_of_the_device_stays_when_a_user_goes(vault: Vault) -> None:
    ada, _ = filled(vault)
    vault.set_setting("paused", True)
    vault.forget(ada.id)
    assert (vault.setting("paused"), vault.setting("since", user=ada.id)) == (True, None)


def test_an_old_reader_is_named_when_it_keeps_old_pages(tmp_path: Path) -> None:
    ada, _ = big_vault(tmp_path)
    hers = ciphertexts(tmp_path, ada)
    with (
        Vault(tmp_path, unlock(tmp_path, SECRET), patience=0.2) as vault,
        closing(sqlite3.connect(tmp_path / VAULT_FILE, isolation_level=None)) as reader,
    ):
        vault.set_setting("x", 1)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM clips").fetchone()
        with pytest.raises(VaultBusy, match="it is done, but another process"):
            vault.forget(ada)
        assert vault.user("Ada") is None
        reader.execute("COMMIT")
        vault.forget(ada)
        assert held(tmp_path, hers) == 0


def test_a_new_key_leaves_nothing_under_the_old_one(tmp_path: Path) -> None:
    ada, ben = big_vault(tmp_path)
    old = ciphertexts(tmp_path, ada) + ciphertexts(tmp_path, ben)
    with closing(sqlite3.connect(tmp_path / VAULT_FILE)) as connection:
        (lock,) = connection.execute("SELECT lock FROM vault").fetchone()
    with Vault(tmp_path, unlock(tmp_path, SECRET)) as vault:
        vault.rekey(OTHER_SECRET, cost=CHEAP)
    assert held(tmp_path, [*old, lock.encode()]) == 0
