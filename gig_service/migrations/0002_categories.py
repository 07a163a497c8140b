"""The default categories: a tree of two levels. The ids never change."""

# Each parent with its children: (id, slug, name).
# fmt: off
TREE = (
    (("71172249-4d9a-5091-aab8-35276231aa98", "graphics-design", "Graphics & Design"), (
        ("9a4ef805-ccf7-5704-b56f-e78e5cef4d92", "logo-design", "Logo Design"),
        ("0aa18785-7156-5455-92cd-cdfacecc4ad5", "brand-identity", "Brand Identity"),
        ("cf163dba-77d8-5688-b2b4-64f7e27bffda", "illustration", "Illustration"),
        ("d6e1a89f-59bd-5e98-9d3b-fbbac8bfd2e1", "ui-ux-design", "UI & UX Design"),
        ("62dbf962-281f-52d7-bc5b-e96c53669713", "print-design", "Print Design"),
        ("d3c6571e-f9dc-5ef6-bbcb-4b335c127f6d", "packaging-design", "Packaging Design"),
    )),
    (("5f75faa9-49e6-5276-9cb5-410030c8b417", "programming-tech", "Programming & Tech"), (
        ("3fa85f64-5717-4562-b3fc-2c963f66afa6", "web-dev", "Web Development"),
        ("028ca0c5-ea88-520f-ae2b-907b1d31f73a", "mobile-apps", "Mobile Apps"),
        ("606724f8-f840-522b-a596-42c559b69d14", "desktop-software", "Desktop Software"),
        ("2bb7b936-bcb4-5bf6-9303-1111b43779d3", "ecommerce-sites", "E-Commerce Sites"),
        ("82388bf3-ecf7-5801-828e-5b4af07ee01a", "apis-integrations", "APIs & Integrations"),
        ("e60b6200-0f11-5460-8774-19a2d5c21efa", "devops-cloud", "DevOps & Cloud"),
        ("47f4c742-cbf5-5669-9150-4817a4dabcfb", "databases", "Databases"),
        ("a5d4f55a-9a84-5fe5-808c-61dd08eb5222", "testing-qa", "Testing & QA"),
    )),
    (("60baf3a3-8db4-591b-a763-4d763a20f982", "digital-marketing", "Digital Marketing"), (
        ("89af245b-6767-5091-bc95-08ba9a39ad04", "seo", "Search Engine Optimization"),
        ("4b8356cc-d083-5f85-a6f6-1f3a39fc13e3", "social-media-marketing", "Social Media Marketing"),
        ("5587a50b-2049-5afc-9ec3-b8cf252981e6", "email-marketing", "Email Marketing"),
        ("4d83f02e-9ecf-50ce-9132-d7fcaa12368a", "paid-advertising", "Paid Advertising"),
        ("d9d3cc8b-3b98-573e-b1a5-d005007db0f8", "web-analytics", "Web Analytics"),
    )),
    (("e2eaf6ee-59f4-5e95-a1ac-c4a63c6068e4", "writing-translation", "Writing & Translation"), (
        ("dbc61252-7dc0-5b68-912f-04b520011462", "articles-blog-posts", "Articles & Blog Posts"),
        ("865b3626-fac2-5cfa-a0b6-22303f403172", "copywriting", "Copywriting"),
        ("e70ce1e6-4b9c-57ee-a99b-f3c5d93993b7", "proofreading-editing", "Proofreading & Editing"),
        ("e8489f11-bb67-5863-8e85-d12fa76332a8", "translation", "Translation"),
        ("369e486f-cd5d-5aec-9f68-1aae5b8f5748", "technical-writing", "Technical Writing"),
        ("5f70bef2-e228-5015-b09e-a7b1c188d523", "resumes-cover-letters", "Resumes & Cover Letters"),
    )),
    (("4ca35a5e-1f82-5e3e-b224-3105e3ec076b", "video-animation", "Video & Animation"), (
        ("9d4a3b88-1653-50f7-9523-08edb4120781", "video-editing", "Video Editing"),
        ("84986165-134d-509c-98a1-4e8cdb8a427b", "explainer-videos", "Explainer Videos"),
        ("c3f93f0d-dfdf-5de8-a877-617efbcb24c5", "2d-animation", "2D Animation"),
        ("c88dfeef-faf5-5eff-9f74-752ba4af5a10", "3d-animation", "3D Animation"),
        ("02afcda8-69dd-536e-9a18-bf98c2d760b5", "subtitles-captions", "Subtitles & Captions"),
    )),
    (("acc1c78e-780f-5819-b0e0-313429d88e26", "music-audio", "Music & Audio"), (
        ("e4b1475b-8b8c-55d7-b198-a123b294e1f3", "voice-over", "Voice Over"),
        ("390f30c8-796b-5c23-bdb6-d1593af73e32", "mixing-mastering", "Mixing & Mastering"),
        ("cfe8e8a1-52b8-5c36-9db3-36a2cab00695", "music-production", "Music Production"),
        ("ab897904-1243-5288-a3e0-f26e0a7f1691", "podcast-editing", "Podcast Editing"),
        ("9ddee519-0ae4-5326-9fcb-3462c12df56a", "sound-design", "Sound Design"),
    )),
    (("0dea5e79-5ed9-598b-94ed-062f9c541751", "business", "Business"), (
        ("5307c1cd-6e92-5ff5-a655-0372fde06c55", "business-plans", "Business Plans"),
        ("3716f5f5-e2c1-5004-af38-bd377933658c", "market-research", "Market Research"),
        ("460289ad-04a8-505f-b422-db643639f108", "virtual-assistance", "Virtual Assistance"),
        ("587af075-d73f-5a56-bea8-1f2f3a753d36", "accounting-bookkeeping", "Accounting & Bookkeeping"),
        ("dc574f8f-131d-590f-b7eb-8db0817f6628", "presentations", "Presentations"),
    )),
    (("e4688871-e21a-5bde-a918-61a59b942f6f", "data-ai", "Data & AI"), (
        ("8a5f07f8-77b2-5386-8a3e-05482a4cece8", "data-analysis", "Data Analysis"),
        ("0b86f84e-9332-5ccf-8c57-ecfdb6002905", "data-visualization", "Data Visualization"),
        ("f5841aea-abc4-54e2-ab38-a7141e48e7b1", "data-entry-cleaning", "Data Entry & Cleaning"),
        ("eae550b4-052c-5ba5-b9d3-24e71dfa6868", "machine-learning", "Machine Learning"),
        ("d2fc6afb-2b89-5ff8-a119-91531de16136", "chatbots", "Chatbots"),
    )),
    (("3aea56f1-a92f-5a4f-b01b-e3a6be8266a7", "photography", "Photography"), (
        ("f9dc4c02-7f2a-5e8c-964c-8130a2ccb8d3", "product-photography", "Product Photography"),
        ("c8bf9117-631a-51a2-9dc3-d28bed17e881", "portraits", "Portraits"),
        ("d77762e0-e358-5beb-a2cb-186e997710c1", "photo-retouching", "Photo Retouching"),
        ("c88a991f-1489-552d-9094-92c43238e2cc", "real-estate-photography", "Real Estate Photography"),
    )),
    (("04ffb473-2043-50ce-a192-46271f90fa16", "lifestyle", "Lifestyle"), (
        ("f6d4b3a0-9e05-58e6-88b1-63b1e460af5e", "online-tutoring", "Online Tutoring"),
        ("20cc588b-ccbe-537c-b781-2fe697d23c09", "fitness-nutrition", "Fitness & Nutrition"),
        ("33004322-cefb-5583-81a4-1183bc4fdd49", "career-coaching", "Career Coaching"),
        ("e5fae455-9b2c-5f70-b8e4-a808c57d3791", "travel-planning", "Travel Planning"),
    )),
)
# fmt: on

INSERT = "insert into categories (id, slug, name, parent_id, position) values (%s, %s, %s, %s, %s)"


def up(migrator, db):  # type: ignore[no-untyped-def]
    """Apply the migration; servicekit.migrations calls this in a transaction."""
    position = 0
    for parent, children in TREE:
        for node, parent_id in ((parent, None), *((child, parent[0]) for child in children)):
            position += 1
            db.execute_sql(INSERT, (*node, parent_id, position))
