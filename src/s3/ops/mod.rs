//! One file for each group of operations.

pub mod paging;
