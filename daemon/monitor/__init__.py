"""The monitor: one web application for wards, an MQTT client of its own.

It knows what everybody can hear on the public topics, and nothing of the daemon's insides.
Research use only: not a medical device.
"""
