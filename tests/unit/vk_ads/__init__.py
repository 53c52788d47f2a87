"""VK Ads without a server."""
