/* What exported networks want of math.h. The compiler has both as instructions of the core. */
float fmaf(float a, float b, float c);
float sqrtf(float x);
