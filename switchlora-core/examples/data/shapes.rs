//! Drawn images: a circle, a square, a diamond or a cross, anywhere and of any size, under noise.

use burn::prelude::*;
use rand::Rng;

const SIDE: usize = 16;

/// Draws `[batch, 1, 16, 16]` with classes of 0 to 3.
pub fn draw<B: Backend>(
    batch: usize,
    random: &mut impl Rng,
    device: &B::Device,
) -> (Tensor<B, 4>, Tensor<B, 1, Int>) {
    let (mut pixels, mut classes) = (Vec::new(), Vec::new());
    for _ in 0..batch {
        let class = random.random_range(0..4);
        let [x, y] = [0; 2].map(|_| random.random_range(5.0f32..11.0));
        let radius = random.random_range(3.0f32..5.0);
        for place in 0..SIDE * SIDE {
            let [dx, dy] = [place % SIDE, place / SIDE].map(|k| k as f32);
            let (dx, dy) = ((dx - x).abs(), (dy - y).abs());
            let distance = match class {
                0 => dx.hypot(dy) - radius,
                1 => dx.max(dy) - radius,
                2 => dx + dy - radius,
                _ if dx.max(dy) < radius => dx.min(dy),
                _ => radius,
            };
            let line = f32::from(distance.abs() < 0.8);
            pixels.push(line + random.random_range(-1.0..1.0));
        }
        classes.push(class);
    }
    let images = TensorData::new(pixels, [batch, 1, SIDE, SIDE]);
    (
        Tensor::from_data(images, device),
        Tensor::from_data(classes.as_slice(), device),
    )
}
