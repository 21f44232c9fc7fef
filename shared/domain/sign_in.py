"""The setting `SIGN_IN`, apart from what it switches on: it is read at every cold start."""

from enum import StrEnum


class SignIn(StrEnum):
    """Whether people may sign in instead of using a key."""

    OFF = "Off"
    ENTRA = "Entra"
    """With Microsoft Entra ID, by the authentication of App Service."""
