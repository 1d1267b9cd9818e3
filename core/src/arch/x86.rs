//! x86-64: AVX2 with FMA, and AVX-512.
#![allow(unsafe_code)] // the intrinsics; each use is sound because a token exists only where the instructions do

use super::{Kernel, Simd, fours_and_ones};
use core::arch::x86_64::*;

/// CPUID leaf 1 ECX and leaf 7 EBX, and the register state that the operating system saves (XCR0).
fn features() -> (u32, u32, u64) {
    // CPUID exists on every x86-64.
    let (highest, leaf1) = (__cpuid(0).eax, __cpuid(1).ecx);
    let leaf7 = if highest >= 7 {
        __cpuid_count(7, 0).ebx
    } else {
        0
    };
    let os_saves = leaf1 >> 27 & 1 == 1;
    // SAFETY: OSXSAVE says that XGETBV exists.
    let state = if os_saves { unsafe { xgetbv() } } else { 0 };
    (leaf1, leaf7, state)
}

#[target_feature(enable = "xsave")]
fn xgetbv() -> u64 {
    // SAFETY: register 0 always exists.
    unsafe { _xgetbv(0) }
}

pub(super) fn has_avx2() -> bool {
    let (leaf1, leaf7, state) = features();
    let (fma, avx, avx2) = (leaf1 >> 12 & 1, leaf1 >> 28 & 1, leaf7 >> 5 & 1);
    fma & avx & avx2 == 1 && state & 0x6 == 0x6
}

pub(super) fn has_avx512() -> bool {
    let (_, leaf7, state) = features();
    let needed = 1 << 16 | 1 << 17 | 1 << 30 | 1 << 31; // F, DQ, BW, VL
    has_avx2() && leaf7 & needed == needed && state & 0xe6 == 0xe6
}

#[inline]
pub(super) fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    #[target_feature(enable = "avx,avx2,fma")]
    fn inner<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Avx2(()))
    }
    // SAFETY: called only where `Isa::current` is Avx2 or Avx512, which `Isa::force` and
    // `Isa::detect` allow only if available.
    unsafe { inner(kernel) }
}

#[inline]
pub(super) fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    #[target_feature(enable = "avx,avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
    fn inner<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Avx512(()))
    }
    // SAFETY: called only where `Isa::current` is Avx512, which `Isa::force` and `Isa::detect`
    // allow only if available.
    unsafe { inner(kernel) }
}

#[inline]
pub(super) fn run_scalar<K: Kernel>(kernel: K) -> K::Output {
    #[target_feature(enable = "avx,avx2,fma")]
    fn inner<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Scalar(()))
    }
    // SAFETY: as `run_avx2`.
    unsafe { inner(kernel) }
}

/// `a * b + c` on one float, by the instruction.
#[inline(always)]
fn fma_f32(a: f32, b: f32, c: f32) -> f32 {
    // SAFETY: a token exists, so the machine has FMA.
    unsafe { _mm_cvtss_f32(_mm_fmadd_ss(_mm_set_ss(a), _mm_set_ss(b), _mm_set_ss(c))) }
}

/// Square root of one float, by the instruction.
#[inline(always)]
fn sqrt_f32(x: f32) -> f32 {
    // SAFETY: SSE is part of x86-64.
    unsafe { _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))) }
}

/// `a * b + c` on one double, by the instruction.
#[inline(always)]
fn fma_f64(a: f64, b: f64, c: f64) -> f64 {
    // SAFETY: a token exists, so the machine has FMA.
    unsafe { _mm_cvtsd_f64(_mm_fmadd_sd(_mm_set_sd(a), _mm_set_sd(b), _mm_set_sd(c))) }
}

/// Elements 0..4 of `v` added by halving.
#[inline(always)]
fn sum4(v: __m128) -> f32 {
    // SAFETY: SSE is part of x86-64.
    unsafe {
        let v = _mm_add_ps(v, _mm_movehl_ps(v, v));
        _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)))
    }
}

/// [`sum4`] of four vectors: the same additions, element i of the result for vector i.
#[inline(always)]
fn sum4_of_4(v: [__m128; 4]) -> [f32; 4] {
    let [a, b, c, d] = v;
    let mut sums = [0.0; 4];
    // SAFETY: SSE is part of x86-64, and four floats fit.
    unsafe {
        let ab = _mm_add_ps(_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b)); // a0+a2 b0+b2 a1+a3 b1+b3
        let cd = _mm_add_ps(_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
        let all = _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab));
        _mm_storeu_ps(sums.as_mut_ptr(), all);
    }
    sums
}

/// The two halves of `v` added.
#[inline(always)]
fn half8(v: __m256) -> __m128 {
    // SAFETY: a token exists, so the machine has AVX.
    unsafe { _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1)) }
}

/// The two halves of `v` added.
#[inline(always)]
fn half16(v: __m512) -> __m256 {
    // SAFETY: a token exists, so the machine has AVX-512.
    unsafe { _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v)) }
}

/// `a + b` of each vector's halves, side by side, where `A` and `B` choose the four quarters of
/// each that are `a` and `b`.
#[inline(always)]
fn add_quarters<const A: i32, const B: i32>(v: __m512, w: __m512) -> __m512 {
    // SAFETY: a token exists, so the machine has AVX-512.
    unsafe {
        _mm512_add_ps(
            _mm512_shuffle_f32x4::<A>(v, w),
            _mm512_shuffle_f32x4::<B>(v, w),
        )
    }
}

/// The sum of each of 16 vectors by halving, each round for several of them at once: two vectors' halves
/// fill one vector, and so do four vectors' quarters.
#[inline(always)]
fn sum16_of_16(v: &[__m512; 16]) -> __m512 {
    // SAFETY: a token exists, so the machine has AVX-512.
    unsafe {
        let mut fours = [_mm512_setzero_ps(); 4];
        for i in 0..4 {
            // Vectors i, 4 + i, 8 + i and 12 + i: halves, then quarters.
            let ab = add_quarters::<0x44, 0xee>(v[i], v[4 + i]);
            let cd = add_quarters::<0x44, 0xee>(v[8 + i], v[12 + i]);
            fours[i] = add_quarters::<0x88, 0xdd>(ab, cd);
        }
        // From here on as `sum4_of_4`, in each quarter.
        let [a, b, c, d] = fours;
        let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
        let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
        _mm512_add_ps(
            _mm512_shuffle_ps::<0x44>(ab, cd),
            _mm512_shuffle_ps::<0xee>(ab, cd),
        )
    }
}

/// Elements 0..8 of `v` added by halving.
#[inline(always)]
fn sum8(v: __m256) -> f32 {
    sum4(half8(v))
}

/// `a[0], b[0], a[1], b[1], ...`
#[inline(always)]
fn interleave(a: [u8; 16], b: [u8; 16]) -> [[u8; 16]; 2] {
    let mut halves = [[0; 16]; 2];
    // SAFETY: SSE2 is part of x86-64, and 16 bytes are there each time.
    unsafe {
        let (a, b) = (
            _mm_loadu_si128(a.as_ptr().cast()),
            _mm_loadu_si128(b.as_ptr().cast()),
        );
        _mm_storeu_si128(halves[0].as_mut_ptr().cast(), _mm_unpacklo_epi8(a, b));
        _mm_storeu_si128(halves[1].as_mut_ptr().cast(), _mm_unpackhi_epi8(a, b));
    }
    halves
}

/// Four floats at `low`, and four at `high`.
///
/// # Safety
/// They must be there.
#[inline(always)]
unsafe fn load_pair(low: *const f32, high: *const f32) -> __m256 {
    // SAFETY: a token exists, so the machine has AVX; the caller answers for the floats.
    unsafe {
        _mm256_insertf128_ps::<1>(
            _mm256_castps128_ps256(_mm_loadu_ps(low)),
            _mm_loadu_ps(high),
        )
    }
}

/// Whether `len` floats hold 8 rows of 8 floats, `row` apart.
#[inline(always)]
fn holds_square(len: usize, row: usize) -> bool {
    let needed = row.checked_mul(7).and_then(|last| last.checked_add(8));
    needed.is_some_and(|needed| needed <= len)
}

/// Transposes 8 x 8 floats; see [`Simd::turn`]. Bounds are checked once: 24 checks take longer than
/// what they guard.
#[inline(always)]
fn turn(source: &[f32], source_row: usize, target: &mut [f32], target_row: usize) {
    assert!(holds_square(source.len(), source_row) && holds_square(target.len(), target_row));
    for from in [0, 4] {
        // SAFETY: a token exists, so the machine has AVX; of both squares, the rows up to the
        // seventh lie within the slices, each with 8 floats.
        unsafe {
            // Rows i and i + 4 side by side: four floats of each.
            let (near, target) = (source.as_ptr().add(from), target.as_mut_ptr());
            let far = near.add(4 * source_row);
            let r0 = load_pair(near, far);
            let r1 = load_pair(near.add(source_row), far.add(source_row));
            let r2 = load_pair(near.add(2 * source_row), far.add(2 * source_row));
            let r3 = load_pair(near.add(3 * source_row), far.add(3 * source_row));
            let (a, b) = (_mm256_unpacklo_ps(r0, r1), _mm256_unpackhi_ps(r0, r1));
            let (c, d) = (_mm256_unpacklo_ps(r2, r3), _mm256_unpackhi_ps(r2, r3));
            let columns = [
                _mm256_shuffle_ps::<0x44>(a, c),
                _mm256_shuffle_ps::<0xee>(a, c),
                _mm256_shuffle_ps::<0x44>(b, d),
                _mm256_shuffle_ps::<0xee>(b, d),
            ];
            for (k, column) in columns.into_iter().enumerate() {
                _mm256_storeu_ps(target.add((from + k) * target_row), column);
            }
        }
    }
}

/// The machine has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

impl Simd for Avx2 {
    type V = __m256;
    const WIDTH: usize = 8;
    const BLOCK: usize = 4;

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    fn load(self, source: &[f32], at: usize) -> __m256 {
        let source = &source[at..at + 8];
        // SAFETY: 8 floats are there.
        unsafe { _mm256_loadu_ps(source.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, target: &mut [f32], at: usize, v: __m256) {
        let target = &mut target[at..at + 8];
        // SAFETY: 8 floats fit.
        unsafe { _mm256_storeu_ps(target.as_mut_ptr(), v) }
    }

    #[inline(always)]
    fn first(self, x: f32) -> __m256 {
        unsafe { _mm256_zextps128_ps256(_mm_set_ss(x)) }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn fma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn relu(self, x: __m256) -> __m256 {
        // Of two zeros, and where one is a NaN, the instruction gives the second.
        unsafe { _mm256_max_ps(_mm256_setzero_ps(), x) }
    }

    #[inline(always)]
    fn where_positive(self, y: __m256, v: __m256) -> __m256 {
        unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(y, _mm256_setzero_ps()), v) }
    }

    #[inline(always)]
    fn split(self, bits: u32, v: __m256) -> (__m256, __m256) {
        unsafe {
            let element = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            let chosen = _mm256_and_si256(_mm256_set1_epi32(bits as i32), element);
            let mask = _mm256_castsi256_ps(_mm256_cmpeq_epi32(chosen, element));
            (_mm256_andnot_ps(mask, v), _mm256_and_ps(mask, v))
        }
    }

    #[inline(always)]
    fn first_max(self, best: __m256, v: __m256) -> (__m256, u32) {
        unsafe {
            let take = _mm256_or_ps(
                _mm256_cmp_ps::<_CMP_GT_OQ>(v, best),
                _mm256_cmp_ps::<_CMP_UNORD_Q>(v, v),
            );
            (
                _mm256_blendv_ps(best, v, take),
                _mm256_movemask_ps(take) as u32,
            )
        }
    }

    #[inline(always)]
    fn sum(self, v: __m256) -> f32 {
        sum8(v)
    }

    #[inline(always)]
    fn sum4(self, v: [__m256; 4]) -> [f32; 4] {
        sum4_of_4([half8(v[0]), half8(v[1]), half8(v[2]), half8(v[3])])
    }

    #[inline(always)]
    fn interleave(self, a: [u8; 16], b: [u8; 16]) -> [[u8; 16]; 2] {
        interleave(a, b)
    }

    #[inline(always)]
    fn turn(self, source: &[f32], source_row: usize, target: &mut [f32], target_row: usize) {
        turn(source, source_row, target, target_row);
    }

    #[inline(always)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        #[inline(never)]
        #[target_feature(enable = "avx,avx2,fma")]
        fn apart<K: Kernel>(kernel: K) -> K::Output {
            kernel.run(Avx2(()))
        }
        // SAFETY: a token exists, so the machine has AVX2 and FMA.
        unsafe { apart(kernel) }
    }

    #[inline(always)]
    fn sqrt_f32(self, x: f32) -> f32 {
        sqrt_f32(x)
    }

    #[inline(always)]
    fn fma_f32(self, a: f32, b: f32, c: f32) -> f32 {
        fma_f32(a, b, c)
    }

    #[inline(always)]
    fn fma_f64(self, a: f64, b: f64, c: f64) -> f64 {
        fma_f64(a, b, c)
    }
}

/// The machine has AVX-512 F, BW, DQ and VL.
#[derive(Clone, Copy)]
pub(super) struct Avx512(());

impl Simd for Avx512 {
    type V = __m512;
    const WIDTH: usize = 16;
    const BLOCK: usize = 8;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn load(self, source: &[f32], at: usize) -> __m512 {
        let source = &source[at..at + 16];
        // SAFETY: 16 floats are there.
        unsafe { _mm512_loadu_ps(source.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, target: &mut [f32], at: usize, v: __m512) {
        let target = &mut target[at..at + 16];
        // SAFETY: 16 floats fit.
        unsafe { _mm512_storeu_ps(target.as_mut_ptr(), v) }
    }

    #[inline(always)]
    fn first(self, x: f32) -> __m512 {
        unsafe { _mm512_zextps128_ps512(_mm_set_ss(x)) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn relu(self, x: __m512) -> __m512 {
        // Of two zeros, and where one is a NaN, the instruction gives the second.
        unsafe { _mm512_max_ps(_mm512_setzero_ps(), x) }
    }

    #[inline(always)]
    fn where_positive(self, y: __m512, v: __m512) -> __m512 {
        unsafe {
            let positive = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(y, _mm512_setzero_ps());
            _mm512_maskz_mov_ps(positive, v)
        }
    }

    #[inline(always)]
    fn split(self, bits: u32, v: __m512) -> (__m512, __m512) {
        unsafe {
            (
                _mm512_maskz_mov_ps(!bits as u16, v),
                _mm512_maskz_mov_ps(bits as u16, v),
            )
        }
    }

    #[inline(always)]
    fn first_max(self, best: __m512, v: __m512) -> (__m512, u32) {
        unsafe {
            let take = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(v, best)
                | _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(v, v);
            (_mm512_mask_blend_ps(take, best, v), u32::from(take))
        }
    }

    #[inline(always)]
    fn sum(self, v: __m512) -> f32 {
        sum8(half16(v))
    }

    #[inline(always)]
    fn sum4(self, v: [__m512; 4]) -> [f32; 4] {
        let eighth = |v| half8(half16(v));
        sum4_of_4([eighth(v[0]), eighth(v[1]), eighth(v[2]), eighth(v[3])])
    }

    #[inline(always)]
    fn sums(self, v: &[__m512], sums: &mut [f32]) {
        let (v16, v) = v.as_chunks::<16>();
        let (sums16, sums) = sums.as_chunks_mut::<16>();
        for (v, sums) in v16.iter().zip(sums16) {
            self.store(sums, 0, sum16_of_16(v));
        }
        fours_and_ones(self, v, sums);
    }

    #[inline(always)]
    fn interleave(self, a: [u8; 16], b: [u8; 16]) -> [[u8; 16]; 2] {
        interleave(a, b)
    }

    #[inline(always)]
    fn turn(self, source: &[f32], source_row: usize, target: &mut [f32], target_row: usize) {
        turn(source, source_row, target, target_row);
    }

    #[inline(always)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        #[inline(never)]
        #[target_feature(enable = "avx,avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
        fn apart<K: Kernel>(kernel: K) -> K::Output {
            kernel.run(Avx512(()))
        }
        // SAFETY: a token exists, so the machine has AVX-512.
        unsafe { apart(kernel) }
    }

    #[inline(always)]
    fn sqrt_f32(self, x: f32) -> f32 {
        sqrt_f32(x)
    }

    #[inline(always)]
    fn fma_f32(self, a: f32, b: f32, c: f32) -> f32 {
        fma_f32(a, b, c)
    }

    #[inline(always)]
    fn fma_f64(self, a: f64, b: f64, c: f64) -> f64 {
        fma_f64(a, b, c)
    }
}

/// The machine has FMA; one float at a time, for lane counts that no vector divides.
#[derive(Clone, Copy)]
pub(super) struct Scalar(());

impl Simd for Scalar {
    type V = f32;
    const WIDTH: usize = 1;
    const BLOCK: usize = 4;

    #[inline(always)]
    fn splat(self, x: f32) -> f32 {
        x
    }

    #[inline(always)]
    fn load(self, source: &[f32], at: usize) -> f32 {
        source[at]
    }

    #[inline(always)]
    fn store(self, target: &mut [f32], at: usize, v: f32) {
        target[at] = v;
    }

    #[inline(always)]
    fn first(self, x: f32) -> f32 {
        x
    }

    #[inline(always)]
    fn add(self, a: f32, b: f32) -> f32 {
        a + b
    }

    #[inline(always)]
    fn sub(self, a: f32, b: f32) -> f32 {
        a - b
    }

    #[inline(always)]
    fn mul(self, a: f32, b: f32) -> f32 {
        a * b
    }

    #[inline(always)]
    fn fma(self, a: f32, b: f32, c: f32) -> f32 {
        fma_f32(a, b, c)
    }

    #[inline(always)]
    fn relu(self, x: f32) -> f32 {
        if x < 0.0 { 0.0 } else { x }
    }

    #[inline(always)]
    fn where_positive(self, y: f32, v: f32) -> f32 {
        if y > 0.0 { v } else { 0.0 }
    }

    #[inline(always)]
    fn split(self, bits: u32, v: f32) -> (f32, f32) {
        if bits & 1 == 1 { (0.0, v) } else { (v, 0.0) }
    }

    #[inline(always)]
    fn first_max(self, best: f32, v: f32) -> (f32, u32) {
        if v > best || v.is_nan() {
            (v, 1)
        } else {
            (best, 0)
        }
    }

    #[inline(always)]
    fn sum(self, v: f32) -> f32 {
        v
    }

    #[inline(always)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        #[inline(never)]
        #[target_feature(enable = "avx,avx2,fma")]
        fn apart<K: Kernel>(kernel: K) -> K::Output {
            kernel.run(Scalar(()))
        }
        // SAFETY: a token exists, so the machine has FMA.
        unsafe { apart(kernel) }
    }

    #[inline(always)]
    fn sqrt_f32(self, x: f32) -> f32 {
        sqrt_f32(x)
    }

    #[inline(always)]
    fn fma_f32(self, a: f32, b: f32, c: f32) -> f32 {
        fma_f32(a, b, c)
    }

    #[inline(always)]
    fn fma_f64(self, a: f64, b: f64, c: f64) -> f64 {
        fma_f64(a, b, c)
    }
}
