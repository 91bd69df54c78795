//! Answers as numbers, got without a branch: where nobody can foresee an answer that waits for memory, the processor would go on with a
//! wrong guess, and begin anew once the memory has come. What it does meanwhile is then the following packet's already.

/// 1 if a word is 0, else 0.
#[inline(always)]
pub(crate) fn is_zero(word: u32) -> u32 {
    (opaque(u64::from(word)).wrapping_sub(1) >> 63) as u32
}

/// The number that it is given: the compiler for BPF, which knows no conditional move, would make a branch of what it can see through.
#[cfg(target_arch = "bpf")]
#[allow(unsafe_code, reason = "an empty instruction")]
#[inline(always)]
fn opaque(mut number: u64) -> u64 {
    // SAFETY: nothing is executed.
    unsafe {
        core::arch::asm!("/* {0} */", inout(reg) number, options(pure, nomem, nostack, preserves_flags))
    };
    number
}

#[cfg(not(target_arch = "bpf"))]
#[inline(always)]
fn opaque(number: u64) -> u64 {
    number
}

#[cfg(test)]
mod tests {
    use super::is_zero;

    #[test]
    fn only_zero_is_zero() {
        assert_eq!(is_zero(0), 1);
        for word in [1, 2, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
            assert_eq!(is_zero(word), 0, "{word:#x}");
        }
    }
}
