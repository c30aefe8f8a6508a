//! Callbacks: rules, outbox, signing, delivery, audit.
