//! Tests by table and by AWS's own published examples.
