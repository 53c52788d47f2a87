"""VK Ads against a server of its protocol."""
