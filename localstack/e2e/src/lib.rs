//! End-to-end tests of the whole platform: see `tests/e2e`. This library is empty.
