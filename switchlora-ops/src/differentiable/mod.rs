//! The operations under autodiff over a backend with kernels: each is one node of the graph, whose backward calls the kernels.
//!
//! Only these files know the graph. Each file puts one operation into it.

mod attention;
mod cross_entropy;
mod embedding;
mod node;
mod norm;
mod projection;
mod swiglu;

/// Our kernels as nodes of the autodiff graph.
pub(crate) struct Differentiable;
