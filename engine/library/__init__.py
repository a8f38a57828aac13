"""The stem database: rows in SQLite, audio and feature arrays content-addressed beside it."""
