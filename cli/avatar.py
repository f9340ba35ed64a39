"""`mien avatar`: an avatar for a user, whether it shows the user, and generators' figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from cli import avatar_data
from cli.avatar_data import Colour, GeneratorFile, Structure, Trust
from cli.console import print_json
from cli.opened import FolderOption, JsonOption, PassphraseOption, opened_vault, say
from common.errors import UsageError

if TYPE_CHECKING:
    from client.avatar.check import Checker, Verdict
    from client.avatar.detectors.interface import Detector
    from client.avatar.own import OwnAvatar
    from client.avatar.store import Choice
    from client.recognition.readers import Readers
    from client.vault.records import User
    from client.vault.vault import Vault

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""An avatar for a user, and whether it shows what the user shows. All on this device.

`new`, `remove` and `check` are for users; `dataset`, `quality`, `sweep` and `fine-tune` are for
those who make or judge generators of avatars.""",
)
avatar_data.register(app)

UserName = Annotated[str, typer.Argument(metavar="USER", help="Name of an enrolled user.")]


@app.command("new")
def new(
    user: UserName,
    look: Annotated[
        int, typer.Option(help="Number of the drawn avatar's look, 0 to 9999.", min=0, max=9999)
    ] = 0,
    generator: GeneratorFile = None,
    trust: Trust = "",
    structure: Structure = None,
    colour: Colour = None,
    preview: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the drawn pictures as PNG, too.")
    ] = None,
    device: FolderOption = None,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Give a user an avatar, which Live then shows beside the camera.

    By default it is drawn: eight expressions in three strengths, kept in the vault. With
    `--generator` it is made from the camera's picture by a network of yours (ONNX, or TorchScript
    that you trust); docs/avatars.md says what such a file needs.

    **Examples:** `mien avatar new Ada --look 7`

    `mien avatar new Ada --generator pixar.onnx --structure 0.225 --colour 0.1`
    """
    from client.avatar.store import save_avatar

    if generator is None and (trust or structure is not None or colour is not None):
        raise UsageError("--trust, --structure and --colour go with --generator FILE")
    if generator is not None and preview is not None:
        raise UsageError("--preview shows a drawn avatar; leave it out with --generator")
    with opened_vault(device, passphrase_file) as vault:
        found = _user(vault, user)
        if generator is not None:
            choice, told = _generated(generator, trust, structure, colour)
        else:
            choice, told = _drawn(vault, look, preview)
        save_avatar(vault, found, choice)
    say(f"{user} has an avatar now: {told}.", "Live shows it: mien device web")


def _generated(
    path: Path, trust: str, structure: float | None, colour: float | None
) -> tuple[Choice, str]:
    from client.avatar.sources.generator import load_generator
    from client.avatar.store import GeneratorChoice

    made = load_generator(path.absolute(), trust=trust, structure=structure, colour=colour)
    choice = GeneratorChoice(
        path=path.absolute(),
        sha256=made.about.file.sha256,
        trust=trust,
        structure=structure,
        colour=colour,
    )
    return choice, made.name


def _drawn(vault: Vault, look: int, preview: Path | None) -> tuple[Choice, str]:
    from client.avatar.own import fit_own_avatar
    from client.avatar.store import DrawnChoice
    from common.files import write_atomically
    from simulations.avatar_data.sheets import draw_sheet

    sheet = draw_sheet(look)
    checker = _checker(vault)
    try:
        own = fit_own_avatar(checker, sheet)
    finally:
        checker.close()
    if preview is not None:
        try:
            write_atomically(preview, sheet.to_png())
        except OSError as error:
            raise UsageError(f"{preview}: can't be written ({error.strerror})") from error
    return DrawnChoice(sheet=sheet, own=own), sheet.name


@app.command("remove")
def remove(
    user: UserName, device: FolderOption = None, passphrase_file: PassphraseOption = None
) -> None:
    """Take a user's avatar away; Live shows none any more."""
    from client.avatar.store import drop_avatar

    with opened_vault(device, passphrase_file) as vault:
        had = drop_avatar(vault, _user(vault, user))
    say(f"{user} has no avatar any more." if had else f"{user} had no avatar.")


@app.command("check")
def check(
    face: Annotated[Path, typer.Argument(metavar="FACE", help="Picture of the person.")],
    avatar: Annotated[Path, typer.Argument(metavar="AVATAR", help="Picture of the avatar.")],
    user: Annotated[
        str, typer.Option(help="Who it is: read the face in this user's own way.")
    ] = "",
    detector: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Trained detector; without it the labels are compared."),
    ] = None,
    backbone: Annotated[
        str, typer.Option(help="Network that reads both; by default the device's, or the built-in.")
    ] = "",
    avatar_backbone: Annotated[
        str, typer.Option(help="Network that reads the avatar, if that is another one.")
    ] = "",
    avatar_head: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Head for avatars, from `mien avatar fine-tune`."),
    ] = None,
    device: FolderOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Say whether an avatar shows the expression that the person shows, and which that is.

    Both pictures are JPEG or PNG. With `--user` the face is read by the user's personal head where
    there is one, else by the device's universal head, else by the backbone's own labels; without
    `--user` and `--device` no device is needed. Nothing is kept.

    **Example:** `mien avatar check me.jpg avatar.png --user Ada --json`
    """
    reading = _Reading(detector, avatar_backbone, avatar_head)
    if not user and device is None:
        if passphrase_file is not None:
            raise UsageError("--passphrase-file goes with --user or --device")
        verdict = _check(face, avatar, _Device(None, backbone), reading)
    else:
        with opened_vault(device, passphrase_file) as vault:
            verdict = _check(face, avatar, _Device(vault, backbone, user), reading)
    if json:
        print_json(verdict.to_json())
    else:
        say(*_lines(verdict, user))


class _Reading(NamedTuple):
    """What reads the avatar, and what compares."""

    detector: Path | None
    avatar_backbone: str
    avatar_head: Path | None

    def head(self) -> OwnAvatar | None:
        """The head for avatars, loaded."""
        from client.avatar.own import load_avatar_head

        return None if self.avatar_head is None else load_avatar_head(self.avatar_head)

    def loaded_detector(self) -> Detector | None:
        """The detector, loaded."""
        from client.avatar.detectors.file import load_detector

        return None if self.detector is None else load_detector(self.detector)


class _Device:
    """What of a device takes part in a check; nothing of one without a vault."""

    def __init__(self, vault: Vault | None, backbone: str, user: str = "") -> None:
        from common.backbones.registry import DEFAULT_BACKBONE, backbone_record, feature_spec

        if vault is not None and backbone:
            raise UsageError("--backbone is the device's own; leave it out with --user or --device")
        self._vault = vault
        self.user = _user(vault, user) if vault is not None and user else None
        used = backbone or ("" if vault is None else _backbone_of(vault))
        self.backbone = used or DEFAULT_BACKBONE
        self._spec = feature_spec(backbone_record(self.backbone))

    def readers(self) -> Readers | None:
        """The device's heads."""
        if self._vault is None:
            return None
        from client.device.readers import VaultReaders

        return VaultReaders(self._vault, self._spec)

    def own_avatar(self, spec: str) -> OwnAvatar | None:
        """The head of the user's own drawn avatar for features of a spec, where there is one."""
        from client.avatar.store import DrawnChoice, avatar_of

        if self._vault is None or self.user is None:
            return None
        choice = avatar_of(self._vault, self.user.id)
        return choice.reader(spec) if isinstance(choice, DrawnChoice) else None


def _check(face: Path, avatar: Path, device: _Device, reading: _Reading) -> Verdict:
    from client.avatar.check import load_checker
    from client.avatar.pictures import picture_in

    pictures = [picture_in(path) for path in (face, avatar)]
    head = reading.head()
    checker = load_checker(
        device.backbone,
        avatar_backbone=reading.avatar_backbone,
        avatars=head,
        readers=device.readers(),
        detector=reading.loaded_detector(),
    )
    try:
        if head is not None and head.spec != checker.spec:
            raise UsageError(
                f"{reading.avatar_head}: reads features {head.spec!r}, but here they are "
                f"{checker.spec!r}; fit one on this backbone with `mien avatar fine-tune`"
            )
        id = None if device.user is None else device.user.id
        return checker.check(*pictures, user=id, own_avatar=device.own_avatar(checker.spec))
    finally:
        checker.close()


def _lines(verdict: Verdict, user: str) -> list[str]:
    who = user or "The person"
    real, shown = verdict.face, verdict.avatar
    return [
        f"{who}: {real.expression} ({max(real.probabilities):.0%}), {real.head} head",
        f"Avatar: {shown.expression} ({max(shown.probabilities):.0%})",
        _outcome(verdict),
        *(f"Note: {each}." for each in verdict.warnings),
    ]


def _outcome(verdict: Verdict) -> str:
    real, shown = verdict.face.expression, verdict.avatar.expression
    if verdict.same:
        return "They show the same expression."
    if real == shown:  # the labels agree, a trained detector does not
        return f"They differ, by the detector {verdict.detector}. In fact: {real}."
    return f"They differ. In fact: {real}."


def _checker(vault: Vault) -> Checker:
    from client.avatar.check import load_checker
    from common.backbones.records import DEFAULT_BACKBONE

    return load_checker(_backbone_of(vault) or DEFAULT_BACKBONE)


def _backbone_of(vault: Vault) -> str:
    from client.device.place import read_device

    return str(read_device(vault.folder).get("backbone", ""))


def _user(vault: Vault, name: str) -> User:
    found = vault.user(name) if name.isprintable() else None
    if found is None:
        raise UsageError(f"nobody is enrolled here as {name!r:.120}; `mien users` lists who is")
    return found
