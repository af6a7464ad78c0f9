// Stand-ins of the qMRML widgets that the module uses, as QObjects with the properties, signals and slots of Slicer's.
// What they show comes from Python (pythonqt_host/node_widgets.py), which hears what happens in the MRML scene.
#pragma once

#include <QtTest>
#include <QtWidgets>
#include <QUiLoader>

class vtkMRMLNode;
class vtkMRMLScene;
Q_DECLARE_OPAQUE_POINTER(vtkMRMLNode*)
Q_DECLARE_OPAQUE_POINTER(vtkMRMLScene*)

// Tells Python of what it must show, also where the widget's own signals are blocked.
class Notifier : public QObject
{
  Q_OBJECT
public:
  using QObject::QObject;
signals:
  void changed();
};

class qMRMLWidget : public QWidget
{
  Q_OBJECT
public:
  explicit qMRMLWidget(QWidget* parent = nullptr) : QWidget(parent) {}
  Q_INVOKABLE vtkMRMLScene* mrmlScene() const { return m_scene; }

public slots:
  void setMRMLScene(vtkMRMLScene* scene);

signals:
  void mrmlSceneChanged(vtkMRMLScene* scene);

private:
  vtkMRMLScene* m_scene = nullptr;
};

class qMRMLNodeComboBox : public QWidget
{
  Q_OBJECT
  Q_PROPERTY(QString currentNodeID READ currentNodeID WRITE setCurrentNodeID NOTIFY currentNodeIDChanged)
  Q_PROPERTY(QStringList nodeTypes MEMBER m_nodeTypes)
  Q_PROPERTY(QStringList hideChildNodeTypes MEMBER m_hideChildNodeTypes)
  Q_PROPERTY(bool showHidden MEMBER m_showHidden)
  Q_PROPERTY(bool showChildNodeTypes MEMBER m_showChildNodeTypes)
  Q_PROPERTY(bool noneEnabled MEMBER m_noneEnabled)
  Q_PROPERTY(bool addEnabled MEMBER m_addEnabled)
  Q_PROPERTY(bool removeEnabled MEMBER m_removeEnabled)
  Q_PROPERTY(bool editEnabled MEMBER m_editEnabled)
  Q_PROPERTY(bool renameEnabled MEMBER m_renameEnabled)
  Q_PROPERTY(bool selectNodeUponCreation MEMBER m_selectNodeUponCreation)
  Q_PROPERTY(int count READ count)

public:
  explicit qMRMLNodeComboBox(QWidget* parent = nullptr);
  QString currentNodeID() const { return m_box->currentData().toString(); }
  int count() const { return m_box->count(); }
  Q_INVOKABLE vtkMRMLScene* mrmlScene() const { return m_scene; }
  Q_INVOKABLE vtkMRMLNode* currentNode() const { return m_nodes.value(currentNodeID()); }
  Q_INVOKABLE QString itemText(int index) const { return m_box->itemText(index); }
  Q_INVOKABLE Notifier* hostNotifier() { return &m_notifier; }
  Q_INVOKABLE void hostOffer(const QStringList& ids, const QStringList& names, const QStringList& addresses);

public slots:
  void setMRMLScene(vtkMRMLScene* scene);
  void setCurrentNode(vtkMRMLNode* node) { setCurrentNodeID(m_nodes.key(node)); }
  void setCurrentNode(const QString& id) { setCurrentNodeID(id); }
  void setCurrentNodeID(const QString& id) { m_box->setCurrentIndex(m_box->findData(id)); }

signals:
  void currentNodeChanged(vtkMRMLNode* node);
  void currentNodeChanged(bool validNode);
  void currentNodeIDChanged(const QString& id);
  void nodeAddedByUser(vtkMRMLNode* node);

private slots:
  void chosen();

private:
  QComboBox* m_box;
  Notifier m_notifier;
  vtkMRMLScene* m_scene = nullptr;
  QMap<QString, vtkMRMLNode*> m_nodes;
  QStringList m_nodeTypes, m_hideChildNodeTypes;
  QString m_last;
  bool m_offering = false;
  bool m_showHidden = false, m_showChildNodeTypes = true, m_noneEnabled = false, m_addEnabled = true;
  bool m_removeEnabled = true, m_editEnabled = false, m_renameEnabled = false, m_selectNodeUponCreation = true;
};

class qMRMLSegmentsTableView : public qMRMLWidget
{
  Q_OBJECT
  Q_PROPERTY(int selectionMode READ selectionMode WRITE setSelectionMode)
  Q_PROPERTY(bool headerVisible MEMBER m_headerVisible)
  Q_PROPERTY(bool opacityColumnVisible MEMBER m_opacityColumnVisible)
  Q_PROPERTY(bool statusColumnVisible MEMBER m_statusColumnVisible)
  Q_PROPERTY(int segmentCount READ segmentCount)

public:
  explicit qMRMLSegmentsTableView(QWidget* parent = nullptr);
  int selectionMode() const { return m_table->selectionMode(); }
  int segmentCount() const { return m_table->rowCount(); }
  Q_INVOKABLE vtkMRMLNode* segmentationNode() { return m_node; }
  Q_INVOKABLE QStringList selectedSegmentIDs();
  Q_INVOKABLE void setSelectedSegmentIDs(QStringList ids);
  Q_INVOKABLE void clearSelection() { m_table->clearSelection(); }
  Q_INVOKABLE Notifier* hostNotifier() { return &m_notifier; }
  Q_INVOKABLE void hostShow(const QStringList& ids, const QStringList& names);

public slots:
  void setSegmentationNode(vtkMRMLNode* node);
  void setSelectionMode(int mode) { m_table->setSelectionMode(QAbstractItemView::SelectionMode(mode)); }

signals:
  void selectionChanged(const QItemSelection& selected, const QItemSelection& deselected);

private:
  QTableWidget* m_table;
  Notifier m_notifier;
  vtkMRMLNode* m_node = nullptr;
  QStringList m_ids;
  bool m_headerVisible = true, m_opacityColumnVisible = true, m_statusColumnVisible = true;
};

// In Slicer these classes come from designer plugins. One that is not known here is an error.
class HostUiLoader : public QUiLoader
{
  Q_OBJECT
public:
  explicit HostUiLoader(QObject* parent = nullptr) : QUiLoader(parent) {}
  Q_INVOKABLE QWidget* createWidget(
    const QString& className, QWidget* parent = nullptr, const QString& name = QString()) override;
};

// Mouse and keys.
class Hand : public QObject
{
  Q_OBJECT
public slots:
  void keyClick(QWidget* widget, int key) { QTest::keyClick(widget, Qt::Key(key)); }
  void keyClicks(QWidget* widget, const QString& text) { QTest::keyClicks(widget, text); }
  void mouseMove(QWidget* widget, const QPoint& p) { QTest::mouseMove(widget, p); }
  void mousePress(QWidget* widget, const QPoint& p) { QTest::mousePress(widget, Qt::LeftButton, {}, p); }
  void mouseRelease(QWidget* widget, const QPoint& p) { QTest::mouseRelease(widget, Qt::LeftButton, {}, p); }
  void mouseClick(QWidget* widget, const QPoint& p) { QTest::mouseClick(widget, Qt::LeftButton, {}, p); }
  void mouseDClick(QWidget* widget, const QPoint& p) { QTest::mouseDClick(widget, Qt::LeftButton, {}, p); }
};
