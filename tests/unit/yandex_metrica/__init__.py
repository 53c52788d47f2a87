"""Yandex Metrica without a server."""
