//! Who may: pure functions over a request head.
