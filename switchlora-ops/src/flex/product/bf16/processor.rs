//! Which kernels this processor has.

use super::{Work, portable::Portable};
#[cfg(target_arch = "x86_64")]
use super::{amx::Amx, avx512::Avx512};
use std::sync::OnceLock;

/// A kind of processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Processor {
    /// Matrix units.
    #[cfg(target_arch = "x86_64")]
    Amx,
    /// Vector instructions for products of bf16.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Neither: rounded numbers are multiplied in f32.
    Portable,
}

impl Processor {
    /// The best kind that this one is.
    pub fn here() -> Self {
        static HERE: OnceLock<Processor> = OnceLock::new();
        *HERE.get_or_init(|| Self::all()[0])
    }

    /// All kinds that this one is, the best first.
    pub fn all() -> Vec<Self> {
        let mut all = vec![];
        #[cfg(target_arch = "x86_64")]
        {
            let vectors = Avx512::is_here();
            all.extend((vectors && Amx::is_here()).then_some(Self::Amx));
            all.extend(vectors.then_some(Self::Avx512));
        }
        all.push(Self::Portable);
        all
    }

    /// Does something with its kernels.
    ///
    /// # Safety
    ///
    /// It is one of [`all`](Self::all), and what `work` asks of its own is so.
    pub(super) unsafe fn run(self, work: impl Work) {
        // SAFETY: as the caller says.
        unsafe {
            match self {
                #[cfg(target_arch = "x86_64")]
                Self::Amx => work.run::<Amx>(),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => work.run::<Avx512>(),
                Self::Portable => work.run::<Portable>(),
            }
        }
    }
}
