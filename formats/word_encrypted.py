"""Word files that a password protects: the package is encrypted inside an OLE container (MS-OFFCRYPTO)."""

import io
from typing import Any

from lctx.core.errors import DamagedSourceError, EncryptedSourceError, LimitError

MAX_SPINS = 10_000_000
"""How often a password may be hashed: the most that the format allows (MS-OFFCRYPTO 2.3.4.10); Word takes
100,000."""

_TELL_IT = "give its password with --password or in LCTX_PASSWORD: case counts"


def decrypted(path: str, content: bytes, password: str | None) -> bytes:
    """The Word file inside an encrypted one.

    Raises:
        EncryptedSourceError: There is no password, or the wrong one.
        DamagedSourceError: It cannot be decrypted.
        LimitError: It asks for more hashing than the format allows.
    """
    if password is None:
        raise EncryptedSourceError(path, "it is protected by a password", _TELL_IT)
    from msoffcrypto import OfficeFile
    from msoffcrypto.exceptions import InvalidKeyError

    found = io.BytesIO()
    try:
        office = OfficeFile(io.BytesIO(content))
        _require_few_spins(path, office)
        office.load_key(password=password, verify_password=True)
        office.decrypt(found)
    except LimitError:
        raise
    except InvalidKeyError as error:
        raise EncryptedSourceError(path, "the password does not open it", _TELL_IT) from error
    except Exception as error:  # the library raises whatever broken bytes lead it to
        why = "it is encrypted, and cannot be decrypted"
        raise DamagedSourceError(path, why, "open it in Word and save a copy without the password") from error
    return found.getvalue()


def _require_few_spins(path: str, office: Any) -> None:
    if getattr(office, "info", {}).get("spinValue", 0) > MAX_SPINS:
        raise LimitError(path, "its encryption would take hours to open", "save it anew from Word")
