"""How a language writes numbers, times and sentences. What a locale is comes from Babel, sentences from a catalogue."""
