"""Notification: rules in a TOML file turn events into e-mail, SMS and chat messages (extra ``notify``)."""
