"""Yandex Metrica against a server of its protocol."""
