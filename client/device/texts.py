"""What a person is told before anything is stored, in plain words."""

from __future__ import annotations

from typing import Final

STORED: Final = """\
What is stored, on this device only and encrypted:
- numbers that describe your face (embeddings), so that you are recognised;
- numbers that describe the expression in each of your clips (features). They are not a picture,
  but they tell something of how you looked;
- names: yours, and those of your clips' files;
- what the device thought each clip shows, and what you said it shows (labels);
- your personal head: what was learnt from your corrections. It never leaves this device;
- your avatar, if you set one.
The clips themselves are not copied: they stay where you keep them."""

LEAVES: Final = """\
What leaves this device:
- nothing, unless you agree to help AND this device was set up with a fleet;
- then only updates of the universal head, the part that all devices share: masked, so that the
  server learns the sum of many devices' alone, or, if the fleet's operator chose so, as they are
  and with their number of clips. No video, face, feature, label, name or personal head is in them.
  Each one is on record: `mien ledger` shows them. The fleet's server sees this device's network
  address."""

NOT_CALLED_BACK: Final = """\
What can't be called back:
- an update that was sent. Whoever receives it may learn a little about the clips behind it, and
  it goes into a head that other devices use. You can stop sending at any time, but not undo it;
- copies of this device's folder that you or a backup program made."""

GUESTS: Final = """\
Guests: a person who is not enrolled is answered as unknown and leaves no trace: no clip, no face,
no name, no count."""

ERASING: Final = """\
`mien forget NAME` erases all of a person from this device, `mien export` shows what is known."""

FIRST_START: Final = f"""\
Mien recognises facial expressions in your clips and learns how you in particular show them.

{STORED}

{LEAVES}

{NOT_CALLED_BACK}

{GUESTS}

{ERASING}

Every user is asked for consent before anything about them is stored. Mien guesses expressions, not
feelings, and it is often wrong: do not use it to judge people.
"""

CONSENT_TEXT: Final = f"""\
Before you are enrolled, read what that means.

{STORED}

{LEAVES}

{NOT_CALLED_BACK}

Saying yes to being enrolled is one thing, helping to improve the universal head is another: you
can have the first without the second, and change your mind about the second at any time.
{ERASING}
"""

REFUSED: Final = (
    "nothing was stored: enrolling needs the consent of the person whose face it is; read the text "
    "above and give it with --agree (add --federate to help to improve the universal head too)"
)
