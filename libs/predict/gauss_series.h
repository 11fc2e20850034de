// The special functions behind the purchase models, in forms that neither overflow nor cancel.
// The papers write them with Gauss' hypergeometric function 2F1, whose series grows beyond any
// double, or loses all digits, for customers who buy much; after Euler's and Pfaff's
// transformations (Abramowitz and Stegun 15.3.3, 15.3.4) all terms are positive and small.
//
// Pure. Arguments are in the stated ranges; the results are finite then.
#ifndef CLM_LIBS_PREDICT_GAUSS_SERIES_H_
#define CLM_LIBS_PREDICT_GAUSS_SERIES_H_

namespace clm::predict {

// 2F1(1, a; c; z) for 0 < a < c, 0 <= z < 1, by Gauss' continued fraction (DLMF 15.7.5), whose
// steps needed grow like 1/sqrt(1 - z) only. What Euler's transformation makes of the functions in
// the likelihood of the Pareto/NBD.
double GaussFraction(double a, double c, double z);

// ln(Gamma(a + n) / Gamma(a)) for a > 0, n >= 0.
double LogRising(double a, double n);

// E[(1 - (1 + p tau)^-rho) / p] for p ~ Beta(a, b), all positive, tau >= 0: the purchases to come
// from somebody who buys with rate lambda ~ Gamma(rho, 1), leaves with probability p after each
// purchase, and is watched for a time tau.
//
// In the papers: (a+b-1)/(a-1) (1 - (1-z)^rho 2F1(rho, b; a+b-1; z)), z = tau/(1+tau), which is
// 0/0 at a = 1 and where a + b = 1. Neither is a point of interest here.
double ExpectedBeforeLeaving(double rho, double a, double b, double tau);

// The same by quadrature, good for any arguments and some hundred times slower. What the series
// does not serve goes this way; where it does, the two are compared by a test.
double ExpectedBeforeLeavingByQuadrature(double rho, double a, double b, double tau);

}  // namespace clm::predict

#endif  // CLM_LIBS_PREDICT_GAUSS_SERIES_H_
