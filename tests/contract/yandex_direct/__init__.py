"""Yandex Direct against a server of its protocol."""
