"""What a secret says of who asks: servers of files are shown it. Where secrets are kept is aws.secrets' matter."""

import json
from dataclasses import dataclass

from medpipe_assets.aws.secrets import Secret
from medpipe_assets.errors import ConfigurationError

_NOTHING = Secret("")


@dataclass(frozen=True)
class Login:
    """Who asks.

    Attributes:
        user: empty where the password is a token that speaks for itself.
        password: or the token.
        private_key: of SSH, PEM; empty where the password is used.
        passphrase: of the private key.
        host_key: the server's public key of SSH, 'ssh-ed25519 AAAA...'; empty where this machine knows it.
    """

    user: str = ""
    password: Secret = _NOTHING
    private_key: Secret = _NOTHING
    passphrase: Secret = _NOTHING
    host_key: str = ""


def login_of(secret: Secret) -> Login:
    """A secret's text: a JSON object of `user`, `password`, `private_key`, `passphrase` and `host_key`; else a token.

    Raises:
        ConfigurationError: for an object of other things.
    """
    text = secret.reveal().strip()
    if not text.startswith("{"):
        return Login(password=Secret(text))
    try:
        stated = json.loads(text)
    except ValueError:
        stated = None
    known = {"user", "password", "private_key", "passphrase", "host_key"}
    if (
        not isinstance(stated, dict)
        or not stated.keys() <= known
        or not all(isinstance(v, str) for v in stated.values())
    ):
        raise ConfigurationError(f"a secret for a server is a token, or a JSON object of {', '.join(sorted(known))}")
    hidden = {name: Secret(stated.get(name, "")) for name in ("password", "private_key", "passphrase")}
    return Login(stated.get("user", ""), host_key=stated.get("host_key", ""), **hidden)
