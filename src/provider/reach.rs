//! Model servers within reach.
