"""How a language writes numbers, times and sentences. Locales come from Babel, sentences from a catalogue."""
