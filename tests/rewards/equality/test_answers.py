import pytest

from hicra_trl.rewards import Gold
from hicra_trl.rewards.equality import algebra
from hicra_trl.rewards.equality.answers import expressions, same_answer


EQUAL = [
    (r"2,-1,-18", r"-18, 2, -1"),
    (r"(1,2)", r"(1, 2)"),
    (r"1,2", r"(1,2)"),
    (r"(2,1)", r"1,2"),
    (r"[2,3)", r"[2,3)"),
    (r"\{1,2\}", r"2,1"),
    (r"x=5", r"5"),
    (r"5", r"x=5"),
    (r"x=1,x=-2", r"1,-2"),
    (r"1,-2", r"x=1,x=-2"),
    (r"x=1,-2", r"1,-2"),
    (r"f(x)=x+1,f(x)=-1", r"$f(x)=-1$,$f(x)=x+1$"),
    (r"\begin{pmatrix} 1/5 \\ -18/5 \end{pmatrix}", r"\begin{bmatrix} 0.2 \\ -3.6 \end{bmatrix}"),
    (r"1+\sqrt{19}, 1-\sqrt{19}", r"1 \pm \sqrt{19}"),
    (r"\{-2, 1+\sqrt5, 1-\sqrt5\}", r"\{1\pm\sqrt{5},-2\}"),
    (r"(9,36)\cup(0,9)", r"(0,9) \cup (9,36)"),
    (r"(1,\infty)", r"x>1"),
    (r"[-2,7]", r"x \in [-2,7]"),
    (r"x\in[-2,7]", r"[-2,7]"),
    (r"C", r"\text{(C)}"),
    (r"(C) 5", r"\text{(C)}"),
    (r"A. 5", r"A"),
    (r"\text{A}", r"A"),
    (r"even", r"\text{even}"),
    (r"Even.", r"\text{even}"),
    (r"50", r"50\%"),
    (r"0.5", r"50\%"),
    (r"S = \frac{10}{2} = 5", r"5"),
    (r"2x+3", r"y = 2x + 3"),
    (r"3+2x=y", r"y = 2x + 3"),
    (r"2516", r"2516_8"),
    (r"2516_{8}", r"2516_8"),
    (r"A", r"A"),
    (r"\angle BEA_1 = 90, \angle AEB_1=90", r"$\angle B E A_{1}=90$,$\angle A E B_{1}=90$"),
    (r"90,90", r"$\angle B E A_{1}=90$,$\angle A E B_{1}=90$"),
    (r"10:30", r"10:30"),
    (r"8,221", r"$221,$8$"),
    (r"12x", r"x\cdot 12"),
    (r"2 \text{ or } 3", r"3,2"),
    (r"3,5, and 7", r"3, 5, 7"),
    (r"x=3 \text{ cm}", r"3"),
    (r"6+9i", r"9i+6"),
    (r"E_2,E_1", r"E_{1},E_{2}"),
    (r"Yes", r"\text{Yes}"),
    (r"-2,-2", r"-2"),
    (r"-2", r"-2,-2"),
    (r"(a+5)(b+2)", r"(b+2)(a+5)"),
    (r"June 20", r"\text{June 20}"),
    (r"11\sqrt2", r"11 \sqrt{2}"),
    (r"3R^2", r"3r^2"),
    (r"\sqrt{R(R-2r)}", r"\sqrt{R^2-2Rr}"),
    (r"r_1+R_1", r"R_1+r_1"),
    (r"\Omega\omega+\omega", r"\omega(\Omega+1)"),
    (r"\{1+z,z\in\mathbb Z\}", r"\{z+1,z\in\mathbb{Z}\}"),
    (r"c^2(\gamma-1)(\gamma+1)", r"(\gamma^2-1)c^2"),
    (r"\Gamma(5)", r"24"),
    (r"RI_0^2", r"I_0^2R"),
    (r"\frac{1}{2}(3)(4)", r"6"),
    (r"2(3)", r"6"),
    (r"4\pi(3)^2", r"36\pi"),
    (r"\log_2(8)", r"3"),
    (r"\frac{2r}{2}", r"r"),
    (r"v_0", r"2v_0-v_0"),
    (r"AB", r"\text{AB}"),
    (r"\sqrt{2}\approx 1.41", r"\sqrt2"),
    (r"0.333333", r"\frac13"),
    (r"\left(\frac{1}{2},-1\right)", r"(0.5,-1)"),
    (r"1,2,3", r"(1,2,3)"),
    (r"1:2", r"\frac12"),
    (r"3.0", r"3"),
    (r"k\ge 2", r"$k \geqslant 2$"),
    (r"2+3", r"5"),
    (r"5\text{ m}", r"5"),
    (r"5\,\mathrm{kg}", r"5"),
    (r"(5)", r"5"),
    (r"\{5\}", r"5"),
    (r"5", r"\{5\}"),
    (r"(1,2),(3,4)", r"(3,4),(1,2)"),
    (r"\{(1,2),(3,4)\}", r"(3,4),(1,2)"),
    (r"f(x)=2x", r"f(x)=x\cdot 2"),
    (r"BC=5", r"5"),
    (r"3\mathbf{i}+2\mathbf{j}", r"2\mathbf{j}+3\mathbf{i}"),
    (r"\frac{1}{2}\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1/2\\1\end{pmatrix}"),
    (r"5,", r"5"),
    (r"1,000", r"1000"),
    (r"10^{2}", r"100"),
    (r"\dfrac{1}{2}", r"0.50"),
    (r"\$5.00", r"5"),
    (r"12 inches", r"12"),
    (r"12\pi\text{ cm}^2", r"12\pi"),
    (r"k=3", r"3"),
    (r"M=\frac{9\sqrt2}{32}", r"$M=\frac{9}{32} \sqrt{2}$"),
    (r"(-\infty, 0) \cup \{1\}", r"$(-\infty, 0) \cup\{1\}$."),
    (r"x=5,y=6", r"x=5, y=6"),
    (r"y=6,x=5", r"x=5,y=6"),
    (r"52", r"52_8"),
    (r"\boxed{x=\boxed{5}}", r"5"),
    (r"(C) 5", r"C"),
    (r"C. five", r"\text{(C)}"),
    (r"C: 5", r"C"),
    (r"\textbf{(C)}\ 5", r"C"),
    (r"(c)", r"C"),
    (r"0.083333", r"\frac{1}{12}"),
    (r"\sin \theta = \frac{3}{5}", r"\frac{3}{5}"),
    (r"|AB| = 5", r"5"),
    (r"m + n = 5", r"5"),
    (r"\gcd(10, 15) = 5", r"5"),
    (r"\frac{a}{b} = 5", r"5"),
    (r"\lfloor x \rfloor = 5", r"5"),
    (r"P(\text{even}) = \frac12", r"\frac12"),
    (r"P(\text{even}) = 2n", r"2n"),
    (r"2+3\,i", r"2+3i"),
    (r"-2+7 i", r"-2 + 7i"),
    (r"1 + 2 \cdot i", r"1+2i"),
    (r"\operatorname{cot} x", r"\cot x"),
    (r"\mathrm{cot}\, x", r"\cot x"),
    (r"\operatorname{tan}^2 x", r"\tan^2 x"),
    (r"52_{\text{8}}", r"52_8"),
    (r"\begin{pmatrix} \frac15 \\[4pt] -\frac{18}5 \end{pmatrix}", r"\begin{pmatrix} 1/5 \\ -18/5 \end{pmatrix}"),
    (r"\text{\$}18.90", r"\$18.90"),
    (r"8 \text{ m}/\text{s}", r"8"),
    (r"9.8 \, \text{m s}^{-2}", r"9.8"),
    (r"8 \frac{\text{miles}}{\text{hour}}", r"8"),
    (r"3{:}45", r"3\text{:}45"),
    (r"3:45", r"3\text{:}45"),
    (r"5 \pmod{7}", r"5"),
    (r"5 \bmod 7", r"5"),
    (r"x \equiv 5 \pmod 7", r"5"),
    (r"\varnothing", r"\emptyset"),
    (r"\mathbb{R}", r"(-\infty,\infty)"),
    (r"{10 \choose 3}", r"\binom{10}{3}"),
    (r"0.\overline{3}", r"\frac13"),
    (r"1.2\overline{45}", r"\frac{1233}{990}"),
    (r"(x,y) = (1,2), (3,4)", r"(1,2),(3,4)"),
    (r"AB1_{16}", r"\text{AB1}_{16}"),
    (r"y=2x+3", r"2x+3"),
    (r"\frac{10}{2}=5", r"5"),
    (r"10 \text{ and } 3", r"3,10"),
    (r"\textsf{even}", r"\text{even}"),
    (r"(-1,2)", r"(-1,2)"),
    (r"x\in\mathbb{R}", r"(-\infty,\infty)"),
    (r"\frac{3}{5} i + 2", r"2+\frac{3}{5}i"),
    (r"2i", r"2 i"),
    (r"f(x) \equiv 0", r"0"),
    (r"{180^\circ}", r"180^\circ"),
    ("5\\\\", r"5"),
    (r"{\color{blue}5}", r"5"),
    (r"\color{red}{5}", r"5"),
    (r"\underline{5}", r"5"),
    (r"2 1/2", r"\frac52"),
    (r"\approx 5", r"5"),
    (r"x \approx 3.14", r"3.14"),
    (r"2 or x", r"x,2"),
    (r"90^{\circ}", r"90"),
    (r"12:45 PM", r"12:45\text{ p.m.}"),
]
DIFFERENT = [
    (r"(2,1)", r"(1,2)"),
    (r"[2,3]", r"(2,3)"),
    (r"\{1,2\}", r"(1,2)"),
    (r"x>1", r"(1,\infty)"),
    (r"C. 5", r"A"),
    (r"B", r"\text{(C)}"),
    (r"odd", r"\text{even}"),
    (r"1=2=5", r"5"),
    (r"\sum_{k=1}^{100} k", r"5050"),
    (r"5 m", r"5"),
    (r"\frac{1}{\sqrt{2}}", r"\frac{1}{\sqrt{2}}c"),
    (r"1,-1,2", r"1,-1"),
    (r"1,2", r"1"),
    (r"1", r"1,2"),
    (r"0.33", r"\frac13"),
    (r"3,2,1", r"(1,2,3)"),
    (r"\text{odd}", r"even"),
    (r"x=y", r"5"),
    (r"y=2x", r"x=2y"),
    (r"\text{The answer is }5", r"5"),
    (r"i", r"-i"),
    (r"-i", r"i"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2\\3&5\end{pmatrix}"),
    (r"[2,3", r"[2,3]"),
    (r"1, 000", r"1000"),
    (r"٣", r"3"),
    (r"５", r"5"),
    (r"1 2", r"12"),
    (r"1,2", r"12"),
    (r"1/0", r"2/0"),
    (r"-", r"0"),
    (r"T", r"\text{True}"),
    (r"12\pi", r"12"),
    (r"p", r"m"),
    (r"(x)^2", r"(x)^3"),
    (r"(n)(n+1)", r"(n)(n+2)"),
    (r"(x)+1", r"(x)+2"),
    (r"A:B=1:2", r"A:B=2:1"),
    (r"A:2", r"A:3"),
    (r"(A),(B),(C),(D)", r"A"),
    (r"A. B. C. D.", r"A"),
    (r"x=5,y=6", r"x=6,y=5"),
    (r"1e-19", r"1.6e-19"),
    (r"2e-19", r"1.6e-19"),
    (r"0.000001", r"0.0000015"),
    (r"(5,5)", r"5"),
    (r"(1,2,1)", r"1,2"),
    (r"x\not=5", r"5"),
    (r"x\not\in[0,1]", r"[0,1]"),
    (r"\neg x=5", r"5"),
    (r"x is not =5", r"5"),
    (r"\text\frac{12}{3}", r"\frac{1}{23}"),
    (r"\text{ab}^{1}2", r"ab^{12}"),
    (r"\text{1 2}", r"12"),
    (r"1+\boxed{5}", r"5"),
    (r"\boxed{5} 6", r"5"),
    (r"5_6", r"5"),
    (r"52_9", r"52_8"),
    (r"\ldots5", r"5"),
    (r"AB1_{17}", r"AB1_{16}"),
    (r"BA1_{16}", r"AB1_{16}"),
    (r"\text{7}\text{8}", r"7"),
    (r"7\text{8}", r"7"),
    (r"\fbox{7}8", r"7"),
    (r"1=2=5", r"5"),
    (r"3x=2x+2", r"2x+2"),
    (r"x_1", r"x_2"),
    (r"0.\overline{3}", r"0.3"),
    (r"3\neq 5", r"5"),
    (r"a=b", r"5"),
    (r"5\text{ or more}", r"5"),
    (r"5...", r"5"),
    (r"5\text{ million}", r"5"),
    (r"5\text{ squared}", r"5"),
    (r"[5,6]", r"5,6"),
    (r"[1,2]", r"1,2"),
    (r"21/2", r"2 1/2"),
    (r"r+2R", r"R+2r"),
    (r"3r", r"R+2r"),
    (r"1", r"\frac{M}{m}"),
    (r"(R,r)", r"(r,R)"),
    (r"r=2R", r"R=2r"),
    (r"\omega(\omega+1)", r"\omega(\Omega+1)"),
    (r"\gamma^2-2", r"\gamma^2-1"),
    (r"\gamma_1+1", r"\gamma_2+1"),
    (r"I_0R", r"I_1R"),
    (r"(2)(3)", r"5"),
    (r"-R", r"I^2R"),
    (r"\frac{2r}{3}", r"r"),
    (r"\sqrt{2}\approx 1.41", r"1.41"),
]


@pytest.mark.parametrize(("answer", "gold"), EQUAL)
def test_equal_answers(answer, gold):
    assert same_answer(answer, Gold(gold), algebra.equal)


@pytest.mark.parametrize(("answer", "gold"), DIFFERENT)
def test_different_answers(answer, gold):
    assert same_answer(answer, Gold(gold), algebra.equal) is False


@pytest.mark.parametrize("answer", [r"\infty", r"(-\infty,\infty)", r"x<\infty", r"2\sum_{n=1}^\infty 2^{-n}"])
def test_infinity_is_a_value_and_an_end(answer):
    assert algebra.understood(answer)


@pytest.mark.parametrize(
    "answer", [r"\infty\infty", r"\infty^2+1", r"\frac{\infty}{2}", r"\{1,\sqrt{\infty}\}", r"3\ln\infty"]
)
def test_what_is_calculated_with_infinity_is_no_value(answer):
    assert not algebra.understood(answer)
    assert algebra.equal(answer, answer)


@pytest.mark.parametrize(("answer", "gold"), EQUAL + DIFFERENT)
def test_what_is_decided_without_algebra_is_decided_as_with_it(answer, gold):
    assert same_answer(answer, Gold(gold)) in (None, same_answer(answer, Gold(gold), algebra.equal))


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("25", "025"),
        ("27.0", "27"),
        ("26", "27"),
        (r"\frac{1}{2}", ".5"),
        ("A", r"\text{(B)}"),
        ("(1,3)", "(1,2)"),
        ("3,1", "1,3"),
    ],
)
def test_what_training_sees_needs_no_algebra(answer, gold):
    assert same_answer(answer, Gold(gold)) is not None


CHOICES = ("12 cm", "15 cm", r"\frac{1}{2}", "None of these")


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("B", "15 cm", True),
        ("(B)", "15 cm", True),
        ("B. 15 cm", "15 cm", True),
        ("15", "B", True),
        (r"15\text{ cm}", "15 cm", True),
        ("A", "15 cm", False),
        ("12", "15 cm", False),
        ("0.5", "C", True),
        ("none of these", "D", True),
        ("E", "15 cm", False),
        ("16", "15 cm", False),
    ],
)
def test_a_letter_and_its_option_are_equal(answer, gold, right):
    assert same_answer(answer, Gold(gold, choices=CHOICES)) is right


def test_a_letter_is_an_option_before_it_is_a_text():
    choices = ("D", "F", "C", "A")
    assert same_answer("A", Gold("A", choices=choices)) is True
    assert same_answer("D", Gold("A", choices=choices)) is False
    assert same_answer("(F)", Gold("B", choices=choices)) is True


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("1.26", Gold("1.3", precision=1), True),
        ("1.24", Gold("1.3", precision=1), False),
        ("4.25", Gold("4.2", absolute_tolerance=0.1), True),
        ("4.3", Gold("4.2", absolute_tolerance=0.1), True),
        ("4.31", Gold("4.2", absolute_tolerance=0.1), False),
        ("4.53e33", Gold("4.5e33", relative_tolerance=0.01), True),
        (r"4.6\times 10^{33}", Gold("4.5e33", relative_tolerance=0.01), False),
        ("1.26", Gold("1.3"), False),
    ],
)
def test_tolerances_are_the_golds(answer, gold, right):
    assert same_answer(answer, gold) is right


@pytest.mark.parametrize(
    ("answer", "pieces"),
    [
        ("12", []),
        (r"(2, \sqrt{3})", [r"\sqrt{3}"]),
        (r"\text{(C)}", []),
        ("x = 5", []),
        ("a+b, 2", ["a+b"]),
        ("Monday", []),
    ],
)
def test_expressions_are_what_only_algebra_can_read(answer, pieces):
    assert expressions(answer) == pieces
