"""The asyncio shell: sources, service, outbox, MQTT, commands and the command line."""
