"""The rooms of Backup Autoheal. `function_app.py` names the triggers; everything they do is in here."""
