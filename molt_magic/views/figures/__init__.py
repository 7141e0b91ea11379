"""Figures as static pictures: readable on a light and on a dark page, never by colour alone, every text in them untrusted."""
