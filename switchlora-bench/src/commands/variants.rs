//! `switchlora-bench variants`: times every variant of the matrix products of a training.

use anyhow::{Result, bail};
use clap::Args;
use switchlora_train::backend::BackendKind;
use switchlora_train::experiment::{Precision, flags};

/// Arguments of `variants`.
#[derive(Args)]
pub struct Variants {
    /// Backend to run on: wgpu or cuda; its default device.
    #[arg(long, value_enum)]
    backend: BackendKind,
    /// Dtype of the operands.
    #[arg(long, value_parser = flags::precision(), default_value_t)]
    precision: Precision,
    /// Products as m x n x k, separated by commas, with a letter t after the dimensions of an operand that is stored
    /// transposed: 8192x768x768, 768x2048x8192tn, 8192x768x2048nt.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "8192x768x768,768x768x8192tn,8192x768x768nt,8192x2048x768,768x2048x8192tn,8192x192x768nt,192x768x8192tn,8192x768x192,1048x32000x768,768x32000x1048tn,1048x768x32000nt"
    )]
    products: Vec<String>,
    /// Print one JSON object per line instead of text.
    #[arg(long)]
    json: bool,
}

impl Variants {
    /// Times the variants and prints them. Returns true.
    ///
    /// # Errors
    ///
    /// A product cannot be read, or the backend has no variants or does not work here.
    pub fn run(self) -> Result<bool> {
        let products = self.products.iter().map(|text| parsed(text));
        let products: Vec<Shape> = products.collect::<Result<_>>()?;
        self.backend.choose()?;
        for (text, shape) in self.products.iter().zip(products) {
            self.time(text, shape)?;
        }
        Ok(true)
    }

    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    fn time(&self, text: &str, shape: Shape) -> Result<()> {
        use serde_json::json;
        use switchlora_ops::check::{self, Product, TimedVariant};
        use switchlora_train::say::answer;

        let ([m, n, k], transposed) = shape;
        let product = Product {
            m,
            n,
            k,
            transposed,
            precision: self.precision,
        };
        let mut printed = Ok(());
        let each = |variant: TimedVariant| {
            let TimedVariant {
                name,
                milliseconds,
                first_seconds,
                error,
                reason,
            } = variant;
            let teraflops = milliseconds.map(|ms| 2.0 * (m * n * k) as f64 / ms / 1e9);
            let line = match (self.json, milliseconds, &reason) {
                (true, ..) => json!({
                    "product": text, "precision": self.precision, "variant": name, "milliseconds": milliseconds,
                    "teraflops": teraflops, "first_seconds": first_seconds, "error": error, "reason": reason,
                })
                .to_string(),
                (false, Some(ms), _) => format!(
                    "{text:<20} {name:<20} {ms:>9.4} ms {:>7.1} TFLOP/s, first {first_seconds:.1} s, error {error:.1e}",
                    teraflops.unwrap_or_default()
                ),
                (false, None, reason) => {
                    let reason: String = reason.iter().flat_map(|r| r.chars()).take(80).collect();
                    format!("{text:<20} {name:<20} {reason}")
                }
            };
            let result = answer(line);
            if printed.is_ok() {
                printed = result;
            }
        };
        match self.backend {
            #[cfg(feature = "cuda")]
            BackendKind::Cuda => check::products_on_cuda(product, each),
            #[cfg(feature = "wgpu")]
            BackendKind::Wgpu => check::products_on_wgpu(product, each),
            other => {
                let _ = (each, product);
                bail!("{other} has no variants: choose wgpu or cuda");
            }
        }
        Ok(printed?)
    }

    #[cfg(not(any(feature = "wgpu", feature = "cuda")))]
    fn time(&self, _text: &str, _shape: Shape) -> Result<()> {
        let _ = (self.precision, self.json);
        bail!(
            "this program has no backend with variants: build with --features wgpu or --features cuda"
        )
    }
}

/// Dimensions m, n, k, and whether each operand is stored transposed.
type Shape = ([usize; 3], [bool; 2]);

fn parsed(text: &str) -> Result<Shape> {
    let wrong = || {
        anyhow::anyhow!(
            "{text:?} is no product: expected m x n x k like 8192x768x768 or 768x768x8192tn"
        )
    };
    let end = text
        .find(|c: char| c != 'x' && !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (numbers, turned) = text.split_at(end);
    let numbers: Vec<usize> = numbers
        .split('x')
        .map(|number| {
            number
                .parse()
                .ok()
                .filter(|number| (1..=1 << 20).contains(number))
        })
        .collect::<Option<_>>()
        .ok_or_else(wrong)?;
    let dimensions: [usize; 3] = numbers.try_into().map_err(|_| wrong())?;
    let transposed = match turned {
        "" | "nn" => [false, false],
        "tn" => [true, false],
        "nt" => [false, true],
        "tt" => [true, true],
        _ => return Err(wrong()),
    };
    Ok((dimensions, transposed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_read_with_its_transposed_operands() {
        assert_eq!(parsed("8x4x2").unwrap(), ([8, 4, 2], [false, false]));
        assert_eq!(parsed("8x4x2tn").unwrap(), ([8, 4, 2], [true, false]));
        for wrong in ["", "8x4", "8x4x2q", "0x4x2", "8x4x2x1", "8 x 4 x 2"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
