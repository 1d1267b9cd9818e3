//! The C functions that a network may need, one for each kind of layer.

/// Convolutions, also depthwise.
pub(super) const CONVOLUTION: &str = "\
static void convolution(const float *x, const float *w, const float *bias, float *y, const int n[13])
{
    /* inputs, rows, columns; outputs, rows, columns; kernel, strides, padding; depthwise */
    for (int o = 0; o < n[3]; o++)
        for (int r = 0; r < n[4]; r++)
            for (int c = 0; c < n[5]; c++) {
                const float *tap = w + o * (n[12] ? 1 : n[0]) * n[6] * n[7];
                float sum = bias[o];
                for (int i = n[12] ? o : 0; i < (n[12] ? o + 1 : n[0]); i++)
                    for (int u = 0; u < n[6]; u++)
                        for (int v = 0; v < n[7]; v++) {
                            int row = r * n[8] + u - n[10];
                            int column = c * n[9] + v - n[11];
                            int inside = row >= 0 && row < n[1] && column >= 0 && column < n[2];
                            float value = inside ? x[(i * n[1] + row) * n[2] + column] : 0.0f;
                            sum = fmaf(value, *tap++, sum);
                        }
                *y++ = sum;
            }
}
";

/// Linear layers.
pub(super) const LINEAR: &str = "\
static void linear(const float *x, const float *w, const float *bias, float *y, int inputs, int outputs)
{
    for (int o = 0; o < outputs; o++) {
        float sum = bias[o];
        for (int i = 0; i < inputs; i++)
            sum = fmaf(x[i], *w++, sum);
        y[o] = sum;
    }
}
";

/// Pools of the largest.
pub(super) const MAX_POOL: &str = "\
static void max_pool(const float *x, float *y, const int n[9])
{
    /* channels, rows, columns; rows, columns; window, strides */
    for (int c = 0; c < n[0]; c++)
        for (int r = 0; r < n[3]; r++)
            for (int q = 0; q < n[4]; q++) {
                const float *from = x + (c * n[1] + r * n[7]) * n[2] + q * n[8];
                float best = *from;
                for (int u = 0; u < n[5]; u++)
                    for (int v = 0; v < n[6]; v++) {
                        float value = from[u * n[2] + v];
                        if (value > best || value != value)
                            best = value;
                    }
                *y++ = best;
            }
}
";

/// Pools of means.
pub(super) const AVERAGE_POOL: &str = "\
static void average_pool(const float *x, float *y, const int n[9])
{
    /* channels, rows, columns; rows, columns; window, strides */
    for (int c = 0; c < n[0]; c++)
        for (int r = 0; r < n[3]; r++)
            for (int q = 0; q < n[4]; q++) {
                const float *from = x + (c * n[1] + r * n[7]) * n[2] + q * n[8];
                float sum = *from;
                for (int u = 0; u < n[5]; u++)
                    for (int v = 0; v < n[6]; v++)
                        if (u + v > 0)
                            sum += from[u * n[2] + v];
                *y++ = sum / (float)(n[5] * n[6]);
            }
}
";

/// A small slope for negative values.
pub(super) const LEAKY_RELU: &str = "\
static void leaky_relu(const float *x, float *y, int count, float slope)
{
    for (int i = 0; i < count; i++)
        y[i] = x[i] < 0.0f ? slope * x[i] : x[i];
}
";

/// Rectified linear units.
pub(super) const RELU: &str = "\
static void relu(const float *x, float *y, int count)
{
    for (int i = 0; i < count; i++)
        y[i] = x[i] < 0.0f ? 0.0f : x[i];
}
";

/// Floats and their bits, for [`SIGMOID`] and [`TANH`].
pub(super) const WORDS: &str = "\
static float of_bits(uint32_t bits)
{
    union { uint32_t bits; float value; } word;
    word.bits = bits;
    return word.value;
}

static uint32_t bits_of(float value)
{
    union { uint32_t bits; float value; } word;
    word.value = value;
    return word.bits;
}
";

/// The logistic function: the library's `math/sigmoid.rs` and, for arguments up to 0,
/// `math/exponential.rs`, operation by operation.
pub(super) const SIGMOID: &str = "\
static float exponential(float x)
{
    /* x = n ln 2 + r, at most 0; n comes to lie in the lowest bits of z */
    float low = x < -104.0f ? -104.0f : x;
    float z = fmaf(low, 1.44269502f, 12582912.0f);
    float n = z - 12582912.0f;
    float r = fmaf(n, 1.90465421e-09f, fmaf(n, -0.693147182f, low));
    float q = 0.00140360673f;
    uint32_t first = bits_of(z) >> 1, second = bits_of(z) - first;
    q = fmaf(q, r, 0.00837229006f);
    q = fmaf(q, r, 0.0416655503f);
    q = fmaf(q, r, 0.166664883f);
    q = fmaf(q, r, 0.5f);
    return (fmaf(r * r, q, r) + 1.0f) * of_bits((first << 23) + 0x3f800000u)
        * of_bits((second << 23) + 0x3f800000u);
}

static void sigmoid(const float *x, float *y, int count)
{
    for (int i = 0; i < count; i++) {
        float e = exponential(x[i] < 0.0f ? x[i] : -x[i]);
        float b = 1.0f + e;
        float low = e - (b - 1.0f);
        float inverse = 1.0f / b;
        float q = e * inverse;
        float remainder = fmaf(-q, low, fmaf(-q, b, e));
        float s = fmaf(remainder, inverse, q);
        y[i] = x[i] < 0.0f ? s : 1.0f - s;
    }
}
";

/// The hyperbolic tangent: the library's `math/tanh.rs`, operation by operation.
pub(super) const TANH: &str = "\
static float tanh_below(float t)
{
    float square = t * t;
    float p = -0.00569229666f;
    p = fmaf(p, square, 0.0206281673f);
    p = fmaf(p, square, -0.0537365153f);
    p = fmaf(p, square, 0.133314058f);
    p = fmaf(p, square, -0.333332807f);
    return fmaf(p, t * square, t);
}

static float tanh_above(float t)
{
    float held = t > 9.02f ? 9.02f : t;
    float z = fmaf(held, 2.88539004f, 12582912.0f);
    float h = fmaf(z - 12582912.0f, -0.346573591f, held);
    float power = 0.0761362165f, twice;
    power = fmaf(power, h, -0.267719835f);
    power = fmaf(power, h, 0.667205095f);
    power = fmaf(power, h, -1.33332348f);
    power = fmaf(power, h, 1.99999499f);
    power = fmaf(power, h, -2.0f);
    power = fmaf(power, h, 1.0f);
    twice = power * of_bits(0x40000000u - (bits_of(z) << 23));
    return 1.0f - twice / fmaf(twice, 0.5f, 1.0f);
}

static void hyperbolic_tangent(const float *x, float *y, int count)
{
    for (int i = 0; i < count; i++) {
        uint32_t sign = bits_of(x[i]) & 0x80000000u;
        float t = of_bits(bits_of(x[i]) ^ sign);
        float value = t < 0.625f ? tanh_below(t) : tanh_above(t);
        y[i] = of_bits((bits_of(value) & 0x7fffffffu) | sign);
    }
}
";

/// Group normalisation, with the sums in the order of the library's `layers/group_norm.rs`.
pub(super) const GROUP_NORM: &str = "\
static void group_norm(const float *x, const float *gamma, const float *beta, float *y, const int n[3])
{
    /* groups, channels of a group, values of a channel */
    int count = n[1] * n[2];
    for (int g = 0; g < n[0]; g++) {
        float mean = 0.0f, variance = 0.0f, scale;
        for (int i = 0; i < count; i++)
            mean += x[i];
        mean /= (float)count;
        for (int i = 0; i < count; i++)
            variance = fmaf(x[i] - mean, x[i] - mean, variance);
        scale = 1.0f / sqrtf(variance / (float)count + 1e-5f);
        for (int i = 0; i < count; i++) {
            int c = g * n[1] + i / n[2];
            *y++ = fmaf(gamma[c], (x[i] - mean) * scale, beta[c]);
        }
        x += count;
    }
}
";
