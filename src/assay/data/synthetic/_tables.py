"""Bilingual word lists of the testbed: pairs (English, Chinese) of everyday words, written for it."""

from __future__ import annotations

from collections.abc import Mapping

Pair = tuple[str, str]
LANGUAGES = ("en", "zh")


def _pairs(text: str) -> tuple[Pair, ...]:
    return tuple((a.replace("_", " "), b) for a, _, b in (p.partition(":") for p in text.split()))


NAMES = _pairs(
    "Tom:小明 Ann:小红 Ben:小刚 Mia:小丽 Sam:小华 Eva:小芳 Max:小强 Zoe:小美 Leo:小军 Amy:小兰 Dan:小龙 "
    "Joy:小雪 Tim:小伟 Kim:小玉 Roy:小东 Sue:小梅 Bob:小虎 Lily:小云 Jack:小杰 Rose:小静 Nick:小林 Lucy:小燕 "
    "Paul:小波 Jane:小雨 Mark:小峰 Kate:小英 Fred:小亮 Nina:小青 Carl:小宇 Tina:小霞"
)
ANIMALS = _pairs(
    "cat:猫 dog:狗 bird:鸟 fish:鱼 horse:马 cow:牛 sheep:羊 pig:猪 duck:鸭 tiger:虎 rabbit:兔 mouse:鼠 "
    "frog:蛙 bear:熊 wolf:狼 deer:鹿"
)
FOODS = _pairs(
    "rice:米饭 bread:面包 soup:汤 cake:蛋糕 egg:鸡蛋 apple:苹果 "
    "pear:梨 tea:茶 milk:牛奶 noodles:面条 meat:肉 "
    "salad:沙拉 peach:桃子 juice:果汁 cheese:奶酪 honey:蜂蜜"
)
PLACES = _pairs(
    "school:学校 park:公园 shop:商店 home:家 river:河边 village:村子 city:城市 garden:花园 beach:海边 "
    "forest:森林 hospital:医院 library:图书馆 station:车站 bridge:桥上 farm:农场 market:市场"
)
THINGS = _pairs(
    "book:书 hat:帽子 cup:杯子 ball:球 car:车 bag:包 chair:椅子 table:桌子 door:门 pen:笔 lamp:灯 coat:衣服 "
    "box:盒子 boat:船 bell:铃 key:钥匙"
)
COLOURS = _pairs(
    "red:红色 blue:蓝色 green:绿色 white:白色 black:黑色 "
    "yellow:黄色 brown:棕色 grey:灰色 pink:粉色 purple:紫色 "
    "orange:橙色 gold:金色"
)
GOOD = _pairs(
    "great:很棒 lovely:很可爱 nice:不错 wonderful:很精彩 "
    "perfect:很完美 pretty:很漂亮 fresh:很新鲜 amazing:很惊人 "
    "excellent:很优秀 charming:很迷人 tidy:很整洁 delightful:很讨喜"
)
BAD = _pairs(
    "awful:很糟 ugly:很丑 terrible:很可怕 boring:很无聊 broken:坏了 dirty:很脏 rotten:烂了 nasty:很讨厌 "
    "horrible:很恶心 dull:很沉闷 poor:很差 useless:没用"
)
OPPOSITES: tuple[tuple[Pair, Pair], ...] = tuple(
    zip(
        _pairs(
            "big:大 hot:热 old:旧 long:长 fast:快 high:高 heavy:重 "
            "hard:硬 full:满 wet:湿 loud:吵 early:早 rich:富 "
            "strong:强 near:近 thick:厚 bright:亮 clean:干净 "
            "open:开着 sharp:尖 deep:深 wide:宽 sweet:甜 busy:忙"
        ),
        _pairs(
            "small:小 cold:冷 new:新 short:短 slow:慢 low:低 light:轻 "
            "soft:软 empty:空 dry:干 quiet:静 late:晚 poor:穷 "
            "weak:弱 far:远 thin:薄 dark:暗 dirty:脏 closed:关着 "
            "blunt:钝 shallow:浅 narrow:窄 bitter:苦 free:闲"
        ),
        strict=True,
    )
)
# An invented world: which creature lives where is true nowhere else, so that nothing but the data teaches it.
CREATURES = _pairs(
    "zorn:佐恩 mip:米普 kelb:凯布 vool:乌尔 tarn:塔恩 grix:格里 "
    "blen:布伦 sook:苏克 wim:维姆 drob:卓布 fenk:芬克 "
    "pludd:普鲁 nairn:奈恩 quip:奎普 hask:哈斯 yolt:约特 jerm:杰姆 lunt:伦特 crev:克里 obble:奥布 stib:斯提 "
    "marl:马尔 thrum:苏朗 vetch:维奇 glim:格林 porth:波斯 rask:拉斯 ulmo:乌莫 dax:达克 ibbin:伊宾 sley:斯雷 "
    "corm:科姆 wend:温德 frome:弗罗 tulk:图克 bexa:贝萨 arvo:阿沃 kedge:凯奇 lorn:洛恩 myrt:米特 ospen:奥斯 "
    "prill:普里 quern:昆恩 runsk:伦斯 saft:萨夫 tibb:提布 umber:翁伯 wharn:沃恩"
)
GROUPS: Mapping[Pair, tuple[Pair, ...]] = {
    ("animals", "动物"): ANIMALS,
    ("food", "食物"): FOODS,
    ("colours", "颜色"): COLOURS,
    ("things", "东西"): THINGS,
    ("places", "地方"): PLACES,
}
OPERATIONS: tuple[tuple[Pair, str], ...] = (
    (("plus", "加"), "+"),
    (("minus", "减"), "-"),
    (("times", "乘以"), "*"),
    (("divided by", "除以"), "//"),
    (("modulo", "取余"), "%"),
)
