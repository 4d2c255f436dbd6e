//! docs
fn main(){}
