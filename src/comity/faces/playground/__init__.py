"""The playground: move sliders that deal patients to hospitals, and see what training together brings."""
