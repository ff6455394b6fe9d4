//! What each topology promises, in rooms of a few hundred.
