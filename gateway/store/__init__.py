"""The one engine: Valkey or Redis, through scripts that each make one decision in one step."""
