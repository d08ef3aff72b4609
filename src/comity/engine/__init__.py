"""Floor 4: the interpreter of experiments. Knows neither files nor frameworks."""
