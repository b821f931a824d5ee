"""The words around a score, in English and Chinese: what leads to it, follows it, or makes it another's.

All are expressions over texts in which :data:`MARK` stands for each quantity.
"""

from __future__ import annotations

import re

from assay.judging._numbers import MARK
from assay.judging._reply import QUOTED

FINAL = r"overall|final|total|aggregate|combined|最终|最后|综合|总体|总"
LABEL_WORDS = r"scores?|ratings?|grade|mark|(?:得分|评分|打分|评价)结果|得分|评分|分数|打分|评级|成绩"
UNIT = r"(?:\s?(?:points?|pts?\.?|marks?|stars?|分|颗?星))?"
FILL = (
    r"(?:(?:it|this|that|the|a|an|answer|response|reply|assistant|score|rating|grade|mark|overall|final"
    r"|only|just|solid|strong"
    r"|full|perfect|exactly|precisely|about|around|roughly|approximately|approx\.?|of|as|at|with"
    r"|definitely|clearly|certainly|simply|therefore|thus|hence|now|still|to|out|is|be|[:=~≈\[(]"
    r"|这个|这份|该|此|这|本|回答|答案|回复|它|其|了|出|一个|得分|评分|分数|大约|约|大概|只|仅|只有|打|给|个)[\s:,]{0,3}){0,7}"
)
SIGN = (
    r"(?:\s*(?:[:=]|\bis\b|\bof\b|\bat\b|\bto\b|\b(?P<modal>would|should|will|shall)\s+be\b"
    r"|[-–—|→>]|为|是|[应该定]+为|[应该]+是|给|打|得)\s*){1,3}"
)
LABEL = re.compile(
    rf"(?:(?P<final>{FINAL})[\s_-]{{0,3}}(?:的)?)?(?<![A-Za-z])(?P<label>{LABEL_WORDS}|(?<=总)分"
    r"|overall|final|verdict|total|总评|总体|综合)"
    rf"(?![A-Za-z])['\"\]】]?\s*(?P<paren>[(\[][^()\[\]\n]{{0,40}}[)\]]\s*)?(?P<sign>{SIGN})?\s*(?P<fill>{FILL})\s*{MARK}",
    re.IGNORECASE,
)
FORMAL = re.compile(
    rf"\[\[\s*{MARK}{UNIT}\s*\]\]|\[(?:result|结果)\]\s*:?[\s(]*{MARK}|\\boxed\{{\s*{MARK}\s*\}}",
    re.IGNORECASE,
)
FIRST_PERSON = r"\b(?:I|we|let\s+me)\b(?:'(?:d|ll|ve|m))?"
VERB = re.compile(
    r"\b(?:(?P<own>give|gave|rate|rated|score|scored|grade|graded|assign|award|pick|choose|say"
    r"|go\s+with|settle\s+(?:on|for|at)|call|conclude"
    rf"|stay\s+(?:at|with)|land\s+(?:on|at)|stick\s+(?:to|with)|end\s+(?:up\s+)?(?:at|with)|keep)"
    r"|(?P<earns>earns?|deserves?|merits?|is\s+worth)|(?P<gets>gets?|receives?|scores?|is\s+(?:rated"
    rf"|scored|given|awarded)))\s+(?P<fill>{FILL})\s*{MARK}",
    re.IGNORECASE,
)
HAN_VERB = re.compile(
    rf"(?P<verb>给出|给予|给|打出|打|得到|得|评为|评|判为|判|记为?|拿到?|获得)\s*(?P<fill>{FILL})\s*{MARK}(?=\s*(?:分|[(,.。;;!]|$))"
)
CORRECTION = re.compile(
    r"(?:\b(?:lower|reduce|raise|increase|change|revise|adjust|correct|downgrade|upgrade|drop"
    rf"|bump)(?:ed|d|ing)?\s+(?:it|this|that|the|my|score|rating|grade|\s){{0,6}}"
    r"(?:down\s+|up\s+)?(?:to|:)|\b(?:no|wait|actually|correction|sorry|make\s+(?:that|it)"
    r"|scratch\s+that|rather|revised|corrected)\b"
    rf"|(?<=rather)\s+(?:give|say|go\s+with)\b|改为|改成|改判|改给|修正为|更正为?|调整为|调整到|降为|降到|降至|下调[至到为]|扣到|提高到|提升到|分数?升[为到至]|不对|^不(?=,)|应该是|还是给"
    rf"|\bnot\s+(?:an?\s+)?{MARK}{UNIT},?\s*but\s+(?:rather\s+)?|(?:不是"
    rf"|并非)\s*{MARK}{UNIT}[,\s]*(?:而是|是))[\s,:;.—–-]*(?P<fill>{FILL})\s*{MARK}",
    re.IGNORECASE,
)
HEDGED = re.compile(
    r"(?:\b(?:or|maybe|perhaps|possibly|but|though|although|however|even|leaning|bordering|closer"
    r"|arguably|toward)\b|或者?|也许|可能|甚至|不过|但)"
    rf"[^{MARK}.;!?。]{{0,25}}{MARK}{UNIT}\s*(?=$|[.,;!?)。]|\b(?:if|would|could|might|is|at|for"
    r"|depending)\b|如果)",
    re.IGNORECASE,
)

OPEN_WORDS = frozenset(
    "the my your our so thus therefore hence i i'd i'll i'm i've we a an this answer answers answer's "
    "response response's reply reply's "
    "assistant assistant's for of is overall final total aggregate combined in summary conclusion "
    "conclude and with as result "
    "given would will must can only have has to think believe feel it it's its that one all considered "
    "everything considering taking into account "
    "based on above these reasons reason reasoning assessment evaluation here here's verdict judgment "
    "judgement well ok okay yes finally "
    "still but then just also honestly fair fairly solid strong good decent accordingly consequently let "
    "me us say am going assign "
    "assigned awarded received give gives giving gave deserve deserves earn earns get gets receive "
    "receives merits rate rated now lastly "
    "at end by myself therefore, because which from score rating grade mark sum up short fact "
    "nevertheless nonetheless "
    "hereby personally be was overall, weighing pros cons both strengths weaknesses analysis task "
    "complete decision".split()
)
OPEN_HAN = re.compile(
    r"我们?|的|对于?|给予?|该|此|这个|这份|这道|这|本|回答|答案|回复|因此|所以|故而?|综上(?:所述)?"
    r"|综合(?:来看|考虑|评价)?|总体(?:来看|来说|上|而言)?|总的来[说看]|最终|最后"
    r"|来看|评价|认为|觉得|将|它|其|而|只能?|仅|一?共|总|道?题|会|能|但是?|不过|因此|于是|决定|判定|评定"
    r"|应该?|为|是|结论|如下|以上|根据|按照?|依据|标准|评分|打分|得分|分数|评|打|得|给|出|了|综|所述|个"
    r"|大约|约|大概|左右|[【】]"
    r"|因(?:为)?[^,。;]{1,12}?(?=[只仅故而所最应]|$)|鉴于[^,。;]{1,20}"
)
PHRASES = re.compile(
    r"(?:according\s+to|based\s+on|by|per|following|given|using|under)\s+(?:the|this|these|your"
    r"|all)\s+(?:\w+\s+)?(?:rubric|criteria|scale|guidelines?|standards?|rules)"
    rf"|on\s+(?:a|the)\s+scale\s*(?:of|from)?\s*{MARK}|out\s+of\s+{MARK}",
    re.IGNORECASE,
)
CLAUSE_OPENER = re.compile(
    r"\s*(?:although|though|while|whereas|since|because|given|overall|considering|taking|despite"
    r"|even\s+though|but|so|and"
    r"|虽然|尽管|由于|因为|鉴于|考虑|综合|总体|虽)",
    re.IGNORECASE,
)
FOREIGN = re.compile(
    rf"{QUOTED}|\b(?:says|said|saying|claim(?:s|ed|ing)?|states?|stated|writes?|wrote|written|ends"
    r"|reads?|asks?|asked|tells?|told|instructs?|instructed"
    r"|instructions?|demands?|wants?|examples?|e\.g|instance|suppose|imagine|references?|reference's"
    r"|previous(?:ly)?|prior|earlier|before|last|initial(?:ly)?"
    r"|original(?:ly)?|at\s+first|maximum|max|highest|minimum|min|lowest|possible|baseline|other|another"
    r"|expected|human|average|mean|median|rubric|scale"
    r"|prompt|threshold|passing|ignore|format|template|model's|user|author|student|teacher|line|text"
    r"|quote[sd]?|repeat(?:s|ed)?|pretend|calibration)\b"
    r"|参考|标准答案|示例|例如|比如|举例|上次|上一|之前|此前|原来|原本|最初|起初|一开始|另一|其他|别的"
    r"|平均|预期|期望|最高|最低|满分|及格|基准|人工|学生|自评|自称|声称|写着?道?|说|要求|让我|格式|假设|(?:标准|目标|参考)\s*$"
    rf"|(?:回答|答案|回复|模型|助手)\s*(?:[AB一二甲乙]|{MARK})|\b(?:answer|assistant|response"
    rf"|model)\s+(?:(?-i:[AB])\b|{MARK})",
    re.IGNORECASE,
)
NOT_SO = re.compile(
    r"\b(?:if|unless|could|might|may|cannot|can't|won't|don't|doesn't|didn't|wouldn't|not|never|refuse"
    r"|hesitate|tempted|should\s+have|would\s+have|had|were"
    r"|otherwise|almost|nearly|unable|normally|usually|hardly|without)\b|如果|假如|假若|要是|除非|本可"
    r"|本来|原可|可以|可能|不会|不能|不应|不该|不给|不打|无法|难以|差点|几乎|本想|若|没|未|别给|别打"
    r"|拒绝|也许|或许",
    re.IGNORECASE,
)
BUT = re.compile(r"\bbut\b", re.IGNORECASE)
OWN_WORDS = re.compile(r"\b(?:I|we)\b|我", re.IGNORECASE)
SPEAKS = re.compile(
    r"(?:\b(?:says|said|claims?|claimed|states|stated|writes|wrote|reads|ends|asks|asked|tells|told"
    r"|demands|adds)\b|:|说|写着?道?|要求|称)[^\w]*$"
    rf"|\b(?:if|unless|example|suppose|imagine|instance)\b|如果|假如|例如|比如|{QUOTED}[^\w]*$",
    re.IGNORECASE,
)
IF = re.compile(
    r"\b(?:if|unless|but|otherwise|normally|had|were|without|except)\b|如果|若|要是|除非", re.IGNORECASE
)

AFTER_FINE = re.compile(
    rf"{UNIT}\s*(?:$|[.,;!)\]}}】、。]|[:'\"](?!\s*{MARK})|[-—–|]\s|\|$|\((?!\s*(?:→|[-=]>|to\b)?\s*{MARK})|\[(?:\[|result|结果)|(?:because"
    r"|since|due|though|although|but|given|overall|in\s+total|or\s+so|here|so|thanks"
    rf"|as\s+(?:it|the|there|well)|with(?!\s*{MARK})|which|instead\s+of|rather\s+than|is\s+(?:warranted"
    r"|appropriate|fair|justified|deserved|reasonable))\b|and\b"
    r"|(?:reason(?:ing)?|explanation|justification|rationale|comments?|feedback|confidence|理由|原因"
    r"|说明|解释|评语)\s*:|for\s+(?:this|the\s+(?:answer|response|reply)|it)\b|左右|吧|因为|由于"
    r"|的?(?:成绩|评价|分数|得分))",
    re.IGNORECASE,
)
AFTER_ASPECT = re.compile(
    rf"{UNIT}\s*(?:for|on|in|at|regarding|concerning|as\s+to|(?:的)?(?:准确|流畅|完整))", re.IGNORECASE
)
AFTER_LEGEND = re.compile(
    rf"{UNIT}\s*[,(:-]?\s*(?:(?:only\s+)?if|when|unless|means?|would|could|might|is\s+(?:for|the|a|too"
    r"|given|reserved|what|perfect|best)\b|=|如果|若|仅?当|表示|代表|则|才|是?满分)",
    re.IGNORECASE,
)
AFTER_FOREIGN = re.compile(
    rf"{UNIT}\s*[)\]}}]\s+(?:was|is|were|are|says|in|appears|from|by|comes)\b|{UNIT}\s*[,(—–-]{{0,2}}\s*(?:(?:as\s+)?(?:it\s+|the\s+\w+\s+)?(?:says?|said|claims?|claimed"
    r"|wrote|writes|stated|instructed|demanded|asked)|according\s+to|at\s+first|initially"
    rf"|originally|last\s+time|before|previously|{QUOTED}|was\s+my|最初|之前)(?!\w)(?!\s+(?:was\s+"
    rf"|gave\s+)?{MARK})",
    re.IGNORECASE,
)
NEAR = 30
REACH = 400
"""So many characters around a number are looked at: no reply costs more than its length."""
EXAMPLE = re.compile(
    r"\b(?:examples?|e\.g|instance|format|if|suppose|template|says|said|wrote|writes|ends|claims?"
    r"|contains?|includes?|asks|demands|reads"
    r"|previous|reference's|like|not|never|cannot|don't|instead)\b|示例|例如|比如|格式|如果|假如|参考答案|原文|写着|不是|不会|要求",
    re.IGNORECASE,
)
"""Words before a formal verdict (an object, ``[[8]]``) that make it somebody else's."""
SCALE_IN = re.compile(rf"\bscale\s*(?:of|from|:)?\s*{MARK}|out\s+of\s+{MARK}", re.IGNORECASE)
DENIED = re.compile(
    r"\b(?:not|never|no|isn't|don't|can't|cannot|won't|would\s+be\s+too)\b|不是|不会|不能", re.IGNORECASE
)
ASPECT_LINE = re.compile(rf"[^:{MARK}]{{1,40}}:\s*{MARK}{UNIT}\s*[.;,]?$", re.IGNORECASE)
HEADER = re.compile(
    r"\b(?:examples?|rubric|scale|criteria|criterion|guidelines?|instructions?|prompt|references?"
    r"|previous|calibration|format|anchors?|levels?|question|task|input)\b"
    r"|示例|例子|评分标准|标准|参考|量表|要求|题目|问题",
    re.IGNORECASE,
)


SENTENCE_END = re.compile(r"(?<=[.!?;])(?=\s)|(?<=[.!?][\"')\]])(?=\s)|(?<=[。！？；])")
NAMES_SCALE = re.compile(
    r"(?:\bscale\s*(?:is|of|from|runs\s+from|:)?|满分\s*(?:为|是|:)?"
    rf"|\bmax(?:imum)?(?:\s+possible)?\s+(?:score|rating|points)\s*(?:is|of|:|=)?"
    rf"|\bmax(?:imum)?\s*[:=]|(?:一共|总共|共)\s*(?:为|是|:)?)\s*{MARK}"
    rf"|{MARK}\s*(?:[分星]?制|[-–]?\s?(?:(?:point|star)s?\s+)?scale)",
    re.IGNORECASE,
)
OF_FACTS = re.compile(r"\b(?:is|was|answer|result)\b|[共每满总]", re.IGNORECASE)
WHOLE = re.compile(rf"[\s*_`\"'(\[]*{MARK}{UNIT}[\s*_`\"')\]]*[.!。]?\s*")
TURNED = re.compile(r"\s*(?:[-—–,]|\.{2,3}|…)+\s*(?:no|wait|actually|sorry|rather|不)\b", re.IGNORECASE)
SPEAKER = re.compile(
    r"\b(?:answer|response|reply|assistant|user|system|human|question|input|output)\s*:\s*$", re.IGNORECASE
)
"""A speaker's name before a score: a transcript, or an answer that is repeated."""
NAMED = re.compile(r"(?<!this )(?<!the )\b(?:answer|response|reply|assistant)\s*$|(?-i:\bA\b)", re.IGNORECASE)
"""One of several answers, between a label and a number: "Score of answer 2", "Scores: A 8"."""
AFTER_SUM = re.compile(rf"^[^.;!?]*(?:=|→|[-=]>)\s*{MARK}")
ORDER = re.compile(r"^\W*(?:please|must|always|give|assign|rate|set|award|score\s+it)\b", re.IGNORECASE)
"""An order, as an answer may give one to its judge."""
BOXED_FACT = re.compile(
    r"\b(?:answer|result|solution|list|matrix|array)\b|(?<!score)(?<!rating)\s*=\s*$", re.IGNORECASE
)
IS_A_THING = re.compile(r"\s*[\]}]{0,2}\$?\s*(?:is|was|are|says)\b", re.IGNORECASE)
ITS_OUTPUT = re.compile(
    r"\b(?:it|answer|student|response|model|text)\s+(?:\w+\s+){0,2}(?:outputs?|contain(?:s|ed)|prints?|returns?|produced|wrote|only)\b"
    r"|\bits\s+(?:reply|output|answer|text)\b|\bthe\s+text\s*$",
    re.IGNORECASE,
)
