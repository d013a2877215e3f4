"""PlanningTokenLabeler against a regular-expression oracle and against texts that were marked by hand."""

import copy
import json
import pickle
import random
import re
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from hicra_trl.grams import PlanningTokenLabeler, StrategicGrams

from .conftest import TRICKY
from .oracle import to_bytes
from .tokenizers import ADDED, tokenizer_of

TRACES = Path(__file__).parents[3] / "shared/data/traces"
FUZZ = settings(deadline=None, derandomize=True, database=None)
BEYOND = (-1, -100, -(2**63), 10**5, 2**31, 2**32 + 300, 2**62)  # ids that no token has

# [planning] in brackets; U+DCxx is the byte xx where it is no UTF-8. The grams are TRICKY's
MARKED = (
    "also [so] soap, isolated",
    "[so].[so] ([so) (so)]-[so]",
    "soé éso so_ a_so so2 2so",
    "中so so中 𝐬so so𝐬 ²so",
    "[so]\u0301 e\u0301[so] \u200b[so]\u200b \ufeff[so] 😀[so]😀",
    "ſo \u212aso [SO] [sO]",
    "[Let’s] [LET'S] let‘s letʼs [let's]t no: let'st".replace("[let's]t no: ", "let'st no: "),
    "[Let’s \r\n\t try] let’\u200bs",
    "[let\u00a0me] [let\u3000me] [let\x1cme] [let\x85\u2028 me] let\u200bme let\u2060 me",
    "[let me try] [so so so]x".replace("[so so so]x", "[so so] sox"),
    "let [let me] let lets",
    "\\therefore [therefore] \\\\therefore \\ [therefore] \\so\\let's\\let me",
    "\\\n[therefore]\\ \\[[therefore]\\]".replace("\\[[therefore]\\]", "([therefore])"),
    "[wait, but  why?] [wait], [but] whys [hmm,wait]",
    "#[## step] x[## step] \\## step \\#[## step]",
    "\n\n [so]\n\n \t[so] ",
    "[a b a b a] [a b a] x",
    "[....] .. [...]x",
    "[Итак], [ДАВАЙТЕ  ПРОВЕРИМ]: итакой, [Άρα] άραγε [ΑΣ ΔΟΎΜΕ]".replace("[ΑΣ ΔΟΎΜΕ]", "[Ας ΔΟΎΜΕ]"),
    "所以因此 ，[因此]，因此我们 [因此\u3000我们]",
    "\udcc3[so] \udca9[so]\udcc3 \udced\udca0\udc80[so] \udcf4\udc90\udc80\udc80[so] \udce4\udcb8é\udcffso\udcff".replace(
        "é\udcffso", "é\udcff[so]"
    ),
    "let\udcc0\udca0me let\udce2\udc80s [let's]\udce2\udc80 éso\udcc3 中\udcc3[so]".replace("éso", "éso"),
)
