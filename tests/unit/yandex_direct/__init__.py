"""Yandex Direct without a server."""
